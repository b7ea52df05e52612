"""Open the front end that a model needs: log-mel, spectrogram or waveform, at 16 or 8 kHz."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.decimation import SIDE_SAMPLES, Decimator, decimate
from kws.features.log_mel import FloatArray, LogMelTransform, SpectrogramTransform
from kws.features.streaming import (
    LogMelFrontend,
    SpectrogramFrontend,
    WaveformFrontend,
    clip_frames,
)

INPUT_RATE = 16_000
"""Rate in Hz to which microphones and files are converted; see `decimation_factor`."""

FRONTENDS: dict[str, type[SpectrogramFrontend | WaveformFrontend]] = {
    "log_mel": LogMelFrontend,
    "spectrogram": SpectrogramFrontend,
    "waveform": WaveformFrontend,
}


class Frontend(Protocol):
    """What the spotter needs of a front end."""

    config: FrontendConfig

    def reset(self) -> None:
        """Forget all audio."""

    def prime(self, samples: NDArray[np.int16]) -> None:
        """After a reset, take the `history_samples` that come before the first frame."""

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return the frames ``(n_frames, n_bands)`` that these samples complete."""


class DecimatedFrontend:
    """A front end at a fraction of the rate of the samples that are pushed.

    Parameters
    ----------
    frontend : Frontend
        Takes the decimated samples.
    factor : int
        Samples pushed for one sample of `frontend`.
    """

    def __init__(self, frontend: Frontend, factor: int) -> None:
        self.config = frontend.config
        self._frontend = frontend
        self._decimator = Decimator(factor)

    def reset(self) -> None:
        """Forget all audio."""
        self._decimator.reset()
        self._frontend.reset()

    def prime(self, samples: NDArray[np.int16]) -> None:
        """Fill the low-pass filter with the samples before the first frame."""
        self._decimator.push(samples)

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return the frames that these samples complete (see `SpectrogramFrontend.push`)."""
        return self._frontend.push(self._decimator.push(samples), out=out)


def open_frontend(config: FrontendConfig) -> Frontend:
    """Return the streaming front end of a model, for samples at `input_rate`."""
    frontend: Frontend = FRONTENDS[config.kind](config)
    factor = decimation_factor(config)
    return DecimatedFrontend(frontend, factor) if factor > 1 else frontend


def decimation_factor(config: FrontendConfig) -> int:
    """Return how many input samples make one sample of the model's rate.

    Models of 16 and 8 kHz take audio at 16 kHz; a model of a higher rate takes its own rate.

    Raises
    ------
    ConfigError
        If the model's rate is below 16 kHz and does not divide it.
    """
    if config.sample_rate >= INPUT_RATE:
        return 1
    if INPUT_RATE % config.sample_rate:
        raise ConfigError(
            f"frontend.sample_rate: expected {INPUT_RATE} Hz or a whole part of it "
            f"({INPUT_RATE // 2}), got {config.sample_rate}; train the model at one of these"
        )
    return INPUT_RATE // config.sample_rate


def input_rate(config: FrontendConfig) -> int:
    """Return the rate in Hz of the samples that the front end takes: 16 kHz or more."""
    return config.sample_rate * decimation_factor(config)


def history_samples(config: FrontendConfig) -> int:
    """Return how many input samples before a frame the low-pass filter still remembers."""
    factor = decimation_factor(config)
    return 2 * SIDE_SAMPLES * factor if factor > 1 else 0


class ClipFeatures:
    """Compute the features of whole clips, as the front end of a model does.

    Parameters
    ----------
    config : FrontendConfig
        Of the model.
    transform : SpectrogramTransform, optional
        Another precision or FFT than the runtime's; for the kinds that have frames.
    """

    def __init__(
        self, config: FrontendConfig, transform: SpectrogramTransform | None = None
    ) -> None:
        self.config = config
        self.factor = decimation_factor(config)
        self._transform = transform
        if transform is None and config.kind != "waveform":
            kind = LogMelTransform if config.kind == "log_mel" else SpectrogramTransform
            self._transform = kind(config)

    @property
    def input_rate(self) -> int:
        """Rate in Hz of the samples that are passed in."""
        return self.config.sample_rate * self.factor

    def __call__(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return the frames ``(n_frames, n_bands)`` of int16 ``(n_samples,)`` at `input_rate`."""
        decimated = decimate(samples, self.factor)
        if self._transform is None:
            return WaveformFrontend(self.config).push(decimated)
        return clip_frames(decimated, self._transform)
