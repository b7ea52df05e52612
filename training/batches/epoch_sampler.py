"""Clips of a classification task, each once an epoch, augmented; or spectrogram pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.batches.augmentation import change_clip, random_crop
from training.config.recipe import Recipe
from training.datasets import folders, noise, synthetic_noise
from training.datasets.clips import SampleCache, to_int16
from training.datasets.noise import NoiseRecordings
from training.datasets.rooms import open_rooms
from training.datasets.spectrogram_images import Picture, change_picture
from training.datasets.splits import ClassData

# Distinguishes the seed of an epoch's order from those of its batches.
ORDER = (0, 1)


class EpochSampler:
    """Draws augmented clips so that an epoch holds each training clip once, in random order."""

    def __init__(self, recipe: Recipe, data: ClassData) -> None:
        self._recipe = recipe
        clips = data.clips("training")
        self._clips = [(clip, data.labels.index(clip.label)) for clip in clips]
        self._cache = SampleCache()
        self._noise = _background_noise(recipe.data.root())
        self._rooms = open_rooms(recipe.data) if recipe.augmentation.reverb_probability else []

    @property
    def n_steps(self) -> int:
        """Batches of an epoch; the last one may be short."""
        return -(-len(self._clips) // self._recipe.fit.batch_size)

    def draw_batch(
        self, epoch: int, step: int, rng: np.random.Generator
    ) -> list[tuple[NDArray[Any], int]]:
        """Return the clips of batch number (epoch, step) with the indices of their labels.

        Steps beyond the end of the epoch continue with the clips of the next ones.
        """
        more, step = divmod(step, self.n_steps)
        order = np.random.default_rng((self._recipe.seed, epoch + more, *ORDER))
        size = self._recipe.fit.batch_size
        chosen = order.permutation(len(self._clips))[step * size : (step + 1) * size]
        return [(self.draw(int(index), rng), self._clips[index][1]) for index in chosen]

    def draw(self, index: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return clip `index`, cropped to the window and augmented."""
        recipe = self._recipe
        n_samples = recipe.clip_samples
        samples = random_crop(self._cache.read(self._clips[index][0]), n_samples, rng)
        noisy = rng.random() < recipe.augmentation.noise_probability
        changed = change_clip(
            samples.astype(np.float32),
            recipe.augmentation,
            rng,
            sample_rate=recipe.clip_rate,
            rooms=self._rooms,
            background=(lambda: self._background(rng, n_samples)) if noisy else None,
        )
        return to_int16(changed)

    def _background(self, rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
        """Return noise of the data set, or synthetic noise: clips of a class are no background."""
        if self._noise.recordings:
            return self._noise.cut(rng, n_samples)
        return synthetic_noise.coloured(rng, n_samples)


class PictureSampler(EpochSampler):
    """Draws spectrogram pictures in the same order, changed as ``[pictures]`` says."""

    def draw(self, index: int, rng: np.random.Generator) -> Picture:
        """Return picture `index`, changed."""
        picture: Any = self._cache.read(self._clips[index][0])
        return change_picture(picture, self._recipe.pictures, rng)


def _background_noise(root: Path) -> NoiseRecordings:
    """Return the training part of the recordings in the noise folder of a folder tree."""
    if not (root / folders.NOISE_FOLDER).is_dir():
        return NoiseRecordings(())
    return noise.split_noise(root, "training")
