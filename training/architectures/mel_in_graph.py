"""The log-mel front end inside the network, so that one file turns samples into posteriors.

`tf.signal` converts to builtin TFLite operators, but the FFT exists in float32 only. The converter
would also quantize the samples and the energies, which span ten decades, to 8 bits. So such a model
is exported with ``--float``. It computes the whole window at every hop, whereas the front end of
`kws` computes each frame once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import Input, Model, layers

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.log_mel import mel_filterbank
from training.architectures.ds_tc_resnet import ds_tc_resnet
from training.architectures.registry import register


@keras.saving.register_keras_serializable("kws")
class LogMel(layers.Layer):
    """Samples -1..1 ``(batch, n_samples)`` to normalised log-mel ``(batch, n_frames, n_mels)``.

    The same formula and the same filters as `kws.features.log_mel`, in float32.

    Parameters
    ----------
    frontend : mapping
        Settings of `FrontendConfig`, of the log_mel kind.
    """

    float_only = True
    """Export to int8 refuses a network with this layer."""

    def __init__(self, frontend: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.frontend = FrontendConfig(**frontend)
        self._filters = mel_filterbank(self.frontend)

    def call(self, samples: Any) -> Any:
        """Return the frames of whole windows."""
        config = self.frontend
        spectrum = tf.signal.stft(
            samples,
            frame_length=config.frame_length_samples,
            frame_step=config.frame_step_samples,
            fft_length=config.n_fft,
            window_fn=tf.signal.hann_window,
        )  # (batch, 98, 257), complex
        # Real and imaginary part: the magnitude would add a square root.
        power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
        energy = tf.matmul(power, self._filters)  # (batch, 98, 40)
        log_energy = tf.math.log(tf.maximum(energy, np.float32(config.log_floor)))
        return (log_energy - np.float32(config.mean)) / np.float32(config.std)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Return ``(batch, n_frames, n_mels)``."""
        assert input_shape[1] is not None
        return (input_shape[0], self.frontend.n_frames(input_shape[1]), self.frontend.n_mels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "frontend": asdict(self.frontend)}


@register("mel_in_graph")
def mel_in_graph(
    input_shape: tuple[int, ...],
    n_labels: int,
    *,
    frontend: Mapping[str, Any] | None = None,
    **body: Any,
) -> Model:
    """Return log-mel and `ds_tc_resnet` in one network.

    Parameters
    ----------
    frontend : mapping, optional
        Settings of the front end in the network; that of the recipe only passes samples on.
    body : Any
        Parameters of `ds_tc_resnet`, the rest of the network.
    """
    if len(input_shape) != 1:
        raise ConfigError(
            "model.params of mel_in_graph: expected a recipe whose frontend.kind is waveform"
        )
    inputs = Input(input_shape, name="waveform")  # (16000,)
    log_mel = LogMel(frontend or {}, name="log_mel")
    x = log_mel(inputs)  # (98, 40)
    classify = ds_tc_resnet(tuple(x.shape[1:]), n_labels, **body)
    return Model(inputs, classify(x), name="mel_in_graph")  # (12,)
