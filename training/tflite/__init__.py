"""Trained networks as .tflite files: convert, read, change, merge, count and stream them.

A Keras network or the bytes of a file come in; the bytes of a new file go out. `convert` alone
needs TensorFlow. Everything else works on the file itself, through `graph.Graph`, and needs only
ai-edge-litert.
"""
