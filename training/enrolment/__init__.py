"""Words of one's own: from a handful of recordings to a model that streams, without TensorFlow."""
