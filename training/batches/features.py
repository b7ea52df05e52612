"""Normalised features of clips, for any kind of front end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.features.frontends import ClipFeatures
from kws.features.log_mel import LogMelTransform, SpectrogramTransform
from training.config.recipe import Recipe
from training.datasets.clips import fit_length

FloatArray = NDArray[np.float32]


def float32_features(config: FrontendConfig) -> ClipFeatures:
    """Return the runtime's own features of a recording, with frames in float32 at half the cost."""
    if config.kind == "waveform":
        return ClipFeatures(config)
    kind = LogMelTransform if config.kind == "log_mel" else SpectrogramTransform
    return ClipFeatures(config, kind(config, rfft=scipy.fft.rfft, dtype=np.float32))


class FeatureMaker:
    """Turns samples into a network's input: ``(feature - mean) / std``.

    Not thread-safe: work arrays are kept from call to call.
    """

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config
        self._whole = float32_features(config)
        self._mean, self._std = np.float32(config.mean), np.float32(config.std)

    def frames(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return the normalised frames ``(n_frames, n_bands)`` of a whole recording.

        `samples` have the rate of clips (`Recipe.clip_rate`), maybe a multiple of the front end's.
        """
        return (self._whole(samples) - self._mean) / self._std

    def windows(self, clips: NDArray[np.int16], *, n_frames: int | None = None) -> FloatArray:
        """Return the normalised features of clips, as a network's input.

        Parameters
        ----------
        clips : ndarray of int16, shape (n_clips, n_samples)
            At the rate of clips.
        n_frames : int, optional
            Number of frames to keep; all by default.

        Returns
        -------
        windows : ndarray of float32, shape (n_clips, n_frames, n_bands) or (n_clips, n_frames)
        """
        # Clip by clip: a clip's frames and spectrum stay in the cache, a batch's do not.
        features = np.stack([self._whole(clip)[:n_frames] for clip in clips])
        features -= self._mean
        features /= self._std
        return features.reshape(len(clips), *self.config.shape(features.shape[1]))


def measure_features(recipe: Recipe, clips: Sequence[Any]) -> tuple[float, float]:
    """Return mean and standard deviation of the features of ``source.normalisation_clips`` clips.

    Every value of every frame has the same weight; the clips are drawn with the recipe's seed.
    """
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(len(clips))[: recipe.source.normalisation_clips]
    maker = FeatureMaker(replace(recipe.frontend, mean=0.0, std=1.0))
    count, total, squares = 0, 0.0, 0.0
    for index in sorted(chosen):
        samples = fit_length(clips[index].read(), recipe.clip_samples)
        features = maker.frames(samples).astype(np.float64)
        count += features.size
        total += float(features.sum())
        squares += float(np.square(features).sum())
    mean = total / count
    std = float(np.sqrt(max(0.0, squares / count - mean * mean)))
    # Rounded, so that a resumed run finds the same recipe. Silence alone has no deviation.
    return float(f"{mean:.5g}"), max(float(f"{std:.5g}"), 1e-6)
