"""Embeddings and heads, shared by enrolment and transfer.

In: a trained network (a .tflite file, a training run, a backbone's .json file) and windows of
samples. Out: embeddings, heads fitted to them, and .tflite files with a head attached.
"""
