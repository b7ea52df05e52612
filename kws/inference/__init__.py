"""Models: features to posteriors.

In: a manifest with its .tflite files, and frames of features. Out: the posterior of each window, by
the window form (the whole window at every hop) or the stream form (new frames and states).
"""
