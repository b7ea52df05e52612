"""The front ends by kind: log-mel, spectrogram, or the samples themselves."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.decimation import decimate
from kws.features.log_mel import LogMelMaths
from kws.features.spectrum import FULL_SCALE, FloatArray, SpectrogramMaths
from kws.features.streaming import LogMelFrontend, SpectrogramFrontend, check_samples, whole_clips

INPUT_RATE = 16_000
"""What microphones and files are brought to, in Hz; see `decimation_factor`."""


class Frontend(Protocol):
    """What the spotter asks of a front end, whichever kind it is."""

    config: FrontendConfig

    def reset(self) -> None:
        """Forget the audio heard so far."""

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return the frames ``(n_frames, n_bands)`` that these samples complete."""


class WaveformFrontend:
    """Hand samples on as they are, -1..1: a frame is one sample."""

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config

    def reset(self) -> None:
        """Do nothing: no sample needs another one."""

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return int16 ``(n_samples,)`` as float32 ``(n_samples, 1)``; with `out`, its first rows.

        Raises
        ------
        AudioError
            If `samples` is not a one-dimensional int16 array.
        """
        check_samples(samples)
        if out is None:
            out = np.empty((len(samples), 1), dtype=np.float32)
        frames = out[: len(samples)]
        np.multiply(samples, np.float32(1 / FULL_SCALE), out=frames[:, 0])
        return frames


def open_frontend(config: FrontendConfig) -> Frontend:
    """Return the streaming front end of a model."""
    kinds: dict[str, type[Any]] = {
        "log_mel": LogMelFrontend,
        "spectrogram": SpectrogramFrontend,
        "waveform": WaveformFrontend,
    }
    made: Frontend = kinds[config.kind](config)
    return made


def decimation_factor(config: FrontendConfig) -> int:
    """Return how many samples of the audio that is fed make one of the model's.

    Audio is fed at 16 kHz to models of that rate and of 8 kHz, and at its own rate to a faster one.

    Raises
    ------
    ConfigError
        If the model's rate is lower, and no whole part of 16 kHz.
    """
    if config.sample_rate >= INPUT_RATE:
        return 1
    if INPUT_RATE % config.sample_rate:
        raise ConfigError(
            f"frontend.sample_rate: expected {INPUT_RATE} Hz or a whole part of it "
            f"({INPUT_RATE // 2}), got {config.sample_rate}; train the model at one of these"
        )
    return INPUT_RATE // config.sample_rate


class WholeFeatures:
    """Make the features of whole recordings, as the front end of a model does.

    Parameters
    ----------
    config : FrontendConfig
        Of the model.
    maths : SpectrogramMaths, optional
        Another precision or FFT than the runtime's; for the kinds that have frames.
    """

    def __init__(self, config: FrontendConfig, maths: SpectrogramMaths | None = None) -> None:
        self.config = config
        self.factor = decimation_factor(config)
        self._maths = maths or _maths(config)

    @property
    def input_rate(self) -> int:
        """Rate of the samples that are taken, in Hz."""
        return self.config.sample_rate * self.factor

    def __call__(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return the frames ``(n_frames, n_bands)`` of int16 ``(n_samples,)`` at `input_rate`."""
        at_rate = decimate(samples, self.factor)
        if self._maths is None:
            return WaveformFrontend(self.config).push(at_rate)
        return whole_clips(at_rate, self._maths)


def _maths(config: FrontendConfig) -> SpectrogramMaths | None:
    if config.kind == "waveform":
        return None
    return LogMelMaths(config) if config.kind == "log_mel" else SpectrogramMaths(config)
