"""Where training and evaluation audio comes from; nothing here needs TensorFlow."""
