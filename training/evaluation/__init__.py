"""Measures a model on labelled clips and on long audio.

In: a model's manifest, clips or audio files, and the truth table of long audio. Out: accuracy,
precision, recall, missed detections, false alarms per hour and latency as plain JSON values, with
plots and tables of single predictions. It also builds the test audio: words mixed over noise.
"""
