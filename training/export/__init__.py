"""From a training run to the files that devices use.

A run folder comes in. An int8 .tflite model, its streaming model and a manifest go out, after both
have been compared with the trained network and with each other; `c_source` writes any exported
model as C++ source for TFLite Micro.
"""
