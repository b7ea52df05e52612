"""Build side of kws: data, augmentation, models, training, quantization, evaluation."""
