"""Convert a Keras network to a .tflite file, int8 or float."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.tflite.graph import Graph


def convert_int8(model: keras.Model, calibration: NDArray[np.float32]) -> bytes:
    """Return a full-int8 .tflite file of `model`; ranges come from features ``(n, *input)``.

    It computes the same as that of `quantize`, but stores nothing twice.

    Raises
    ------
    ConfigError
        If a layer needs float32.
    """
    return Graph(quantize(model, calibration), where=model.name).compact()


def quantize(model: keras.Model, calibration: NDArray[np.float32]) -> bytes:
    """Return a full-int8 .tflite file as the converter writes it; see `convert_int8`."""
    for layer in model.layers:
        if getattr(layer, "float_only", False):
            raise ConfigError(
                f"model {model.name}: expected layers that work in int8, got {layer.name}, which "
                "needs float32; export with --float"
            )

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for window in calibration:
            yield [window[None]]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # Old runtimes have only per-tensor dense layers (FULLY_CONNECTED up to version 9).
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return _convert(converter)


def convert_float(model: keras.Model) -> bytes:
    """Return a float32 .tflite file of `model`."""
    return _convert(_converter(model))


def _converter(model: keras.Model) -> Any:
    # A fixed batch of one: a free batch size would leave shape arithmetic in the graph.
    inputs = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="log_mel")
    fixed = keras.Model(inputs, model(inputs, training=False))
    return tf.lite.TFLiteConverter.from_keras_model(fixed)


def _convert(converter: Any) -> bytes:
    # Keras prints a message about the SavedModel that the converter makes.
    with contextlib.redirect_stdout(io.StringIO()):
        return bytes(converter.convert())
