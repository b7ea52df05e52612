"""The encoder of Whisper tiny (Radford et al. 2022) on one second of samples, with a small head.

The layers have the names of the published weights (see `pretrained`), with ``-`` for ``/``. The
window is taken as it is: Whisper's own pads it to 30 s.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import Input, Model, layers, ops
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.architectures.embedding_head import head
from training.architectures.registry import register

FloatArray = NDArray[np.float32]
RATE, FRAME, STEP, BANDS = 16_000, 400, 160, 80
MAX_DB = 80
"""Energies further below the clip's largest are raised to it."""

WIDTH, HEADS, LAYERS = 384, 6, 4


@keras.saving.register_keras_serializable("kws")
class WhisperLogMel(layers.Layer):
    """Samples -1..1 ``(batch, n_samples)`` to Whisper's log-mel ``(batch, n_samples / 160, 80)``.

    The Fourier transform is a convolution: TFLite's FFT takes powers of two alone, and frames have
    400 samples.
    """

    float_only = True
    """Export to int8 refuses a network with this layer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waves, self._filters = fourier_waves(), slaney_filters()

    def call(self, samples: Any) -> Any:
        """Return the frames of whole windows."""
        # Centred frames, mirrored at both ends; the one behind the last sample is left out.
        x = tf.pad(samples, ((0, 0), (FRAME // 2, FRAME // 2 - STEP)), mode="REFLECT")
        x = tf.reshape(x, (-1, 1, samples.shape[1] + FRAME - STEP, 1))
        x = tf.nn.conv2d(x, self._waves, strides=(1, 1, STEP, 1), padding="VALID")
        x = tf.reshape(x, (-1, samples.shape[1] // STEP, 2, FRAME // 2 + 1))  # (100, 2, 201)
        energy = tf.matmul(tf.reduce_sum(tf.square(x), axis=2), self._filters)  # (100, 80)
        level = tf.math.log(tf.maximum(energy, 1e-10)) / np.float32(np.log(10))
        loudest = tf.reduce_max(level, axis=(1, 2), keepdims=True)
        return (tf.maximum(level, loudest - MAX_DB / 10) + 4) / 4

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Return ``(batch, n_frames, n_bands)``."""
        assert input_shape[1] is not None
        return (input_shape[0], input_shape[1] // STEP, BANDS)


@keras.saving.register_keras_serializable("kws")
class Positions(layers.Layer):
    """Adds Whisper's fixed sinusoids to steps ``(batch, n_steps, width)``."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Compute the sinusoids of as many steps."""
        n_steps, width = input_shape[1:]
        assert n_steps is not None
        assert width is not None
        rates = np.exp(-np.log(10_000) * np.arange(width // 2) / (width // 2 - 1))
        angles = np.arange(n_steps)[:, None] * rates
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        # Rounded as in the published checkpoint.
        self._waves = waves.astype(np.float16).astype(np.float32)

    def call(self, x: Any) -> Any:
        """Return the steps with their positions."""
        return x + self._waves

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape


@register("whisper_encoder")
def whisper_encoder(input_shape: tuple[int, ...], n_labels: int, **params: Any) -> Model:
    """Return encoder and head in one network on samples.

    Parameters
    ----------
    params : Any
        Of `embedding_head`, the rest of the network.
    """
    if len(input_shape) != 1 or input_shape[0] % (4 * STEP):
        raise ConfigError(
            "model of whisper_encoder: expected a recipe whose frontend.kind is waveform and whose "
            f"window is a multiple of {4 * STEP} samples, got the input {input_shape}"
        )
    inputs = Input(input_shape, name="waveform")  # (16000,)
    x = WhisperLogMel(name="log_mel")(inputs)  # (100, 80)
    x = layers.Reshape((x.shape[1], 1, BANDS))(x)
    for name, strides in (("conv1", 1), ("conv2", 2)):
        padding = layers.ZeroPadding2D(((1, 1), (0, 0)), name=f"{name}_pad")
        x = layers.Conv2D(WIDTH, (3, 1), strides=(strides, 1), name=name)(padding(x))
        x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Reshape((x.shape[1], WIDTH))(x)
    x = Positions(name="positions")(x)  # (50, 384)
    for index in range(LAYERS):
        x = _transformer_layer(x, f"layer_{index}")
    x = _norm(x, "layer_norm")
    x = layers.AveragePooling1D(2, name="embedding")(x)  # (25, 384)
    return Model(inputs, head(x, n_labels, **params), name="whisper_encoder")


def _transformer_layer(x: Any, name: str) -> Any:
    """Return a layer of self-attention and two dense layers, each normalised at its input."""
    part = f"{name}-self_attention"
    y = _norm(x, f"{part}-layer_norm")
    y = layers.Dense(3 * WIDTH, name=f"{part}-linear_0")(y)
    y = layers.Dense(WIDTH, name=f"{part}-linear_1")(_attention(y))
    x = layers.Add(name=f"{part}-add")([x, y])
    part = f"{name}-ffn"
    y = _norm(x, f"{part}-layer_norm")
    y = layers.Dense(4 * WIDTH, activation="gelu", name=f"{part}-linear_0")(y)
    y = layers.Dense(WIDTH, name=f"{part}-linear_1")(y)
    return layers.Add(name=f"{part}-add")([x, y])


def _norm(x: Any, name: str) -> Any:
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _attention(joined: Any) -> Any:
    """Return what each step takes of all steps; `joined` holds query, key and value of each."""
    n_steps, size = joined.shape[1], WIDTH // HEADS
    x = ops.reshape(joined, (-1, n_steps, 3 * HEADS, size))
    x = ops.transpose(x, (0, 2, 1, 3))  # (18, 50, 64)
    query, key, value = ops.split(x, 3, axis=1)
    weights = ops.softmax(ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2))))
    x = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
    return ops.reshape(x, (-1, n_steps, WIDTH))


def fourier_waves() -> FloatArray:
    """Return the Hann-windowed cosines, then sines, as a kernel ``(1, 400, 1, 402)``."""
    times = np.arange(FRAME)
    angles = 2 * np.pi * times[:, None] * np.arange(FRAME // 2 + 1) / FRAME
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * times / FRAME)
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * taper[:, None]
    return waves.astype(np.float32)[None, :, None]


def slaney_filters() -> FloatArray:
    """Return the mel filters ``(201, 80)`` of Slaney's Auditory Toolbox, each of area one.

    Mel are linear in frequency up to 1 kHz, then logarithmic.
    """
    linear, logarithmic = 200 / 3, np.log(6.4) / 27
    knee = 1_000 / linear
    top = knee + np.log(RATE / 2 / 1_000) / logarithmic
    mels = np.linspace(0, top, BANDS + 2)
    bent = 1_000 * np.exp(logarithmic * (np.maximum(mels, knee) - knee))
    edges = np.where(mels < knee, mels * linear, bent)
    bins = np.linspace(0, RATE / 2, FRAME // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return filters.astype(np.float32)
