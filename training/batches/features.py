"""Normalised features of clips for any kind of front end: one place for all of training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.features.frontends import ClipFeatures
from kws.features.log_mel import LogMelTransform, SpectrogramTransform

FloatArray = NDArray[np.float32]


def _log_mel(config: FrontendConfig) -> ClipFeatures:
    return ClipFeatures(config, LogMelTransform(config, rfft=scipy.fft.rfft, dtype=np.float32))


def _spectrogram(config: FrontendConfig) -> ClipFeatures:
    return ClipFeatures(config, SpectrogramTransform(config, rfft=scipy.fft.rfft, dtype=np.float32))


# Each gives the runtime's own features of a recording; frames in float32, at half the cost.
KINDS: dict[str, Callable[[FrontendConfig], ClipFeatures]] = {
    "log_mel": _log_mel,
    "spectrogram": _spectrogram,
    "waveform": ClipFeatures,
}


class FeatureMaker:
    """Turn samples into what the network is fed: ``(feature - mean) / std``.

    Work arrays are kept from call to call: not for threads.

    Parameters
    ----------
    config : FrontendConfig
        Which features.
    """

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config
        self._whole = KINDS[config.kind](config)
        self._mean, self._std = np.float32(config.mean), np.float32(config.std)

    def frames(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return the normalised frames of a whole recording.

        Parameters
        ----------
        samples : ndarray of int16, shape (n_samples,)
            At the rate of clips (`Recipe.clip_rate`), which may be a multiple of the front end's.

        Returns
        -------
        frames : ndarray of float32, shape (n_frames, n_bands)
        """
        return (self._whole(samples) - self._mean) / self._std

    def windows(self, clips: NDArray[np.int16], *, n_frames: int | None = None) -> FloatArray:
        """Return the normalised features of clips, as a network takes them.

        Parameters
        ----------
        clips : ndarray of int16, shape (n_clips, n_samples)
            At the rate of clips.
        n_frames : int, optional
            How many of their first frames; without it all.

        Returns
        -------
        windows : ndarray of float32, shape (n_clips, n_frames, n_bands) or (n_clips, n_frames)
        """
        # Clip by clip: a clip's frames and spectrum stay in the cache, a batch's do not.
        features = np.stack([self._whole(clip)[:n_frames] for clip in clips])
        features -= self._mean
        features /= self._std
        return features.reshape(len(clips), *self.config.shape(features.shape[1]))
