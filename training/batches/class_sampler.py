"""The clips of a plain classification task, every one of them once an epoch, augmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.batches import augmentation
from training.batches.clip_augmentation import change_clip, random_crop
from training.batches.word_sampler import word_data
from training.config.recipe import Recipe
from training.datasets import folders, noise
from training.datasets import synthetic_noise as made_noise
from training.datasets.clips import ClipCache
from training.datasets.labelled_clips import Item
from training.datasets.noise import NoiseBank
from training.datasets.speakers import speaker_of
from training.datasets.splits import ClassData, open_classes

# Tells the order of an epoch's clips from the draws of its batches, which are seeded alike.
ORDER = (0, 1)


def class_data(recipe: Recipe) -> ClassData:
    """Return the clips of the recipe's source, split as it says.

    Raises
    ------
    ConfigError
        If the source cannot be read or split.
    """
    if recipe.source.kind == "words":
        return word_classes(recipe)
    root = recipe.data.path("clips")
    if root is None:
        raise ConfigError("data.clips: expected a folder or a file, got an empty path")
    return open_classes(recipe.source, root, recipe.data.classes)


def word_classes(recipe: Recipe) -> ClassData:
    """Return many words as classes: the clips that train, each once, and those that validate."""
    words = word_data(recipe)
    splits = {"training": words.training, "validation": words.validation, "testing": []}
    return ClassData(
        words.labels,
        {
            split: [Item(clip, speaker_of(clip.path)) for clip in clips]
            for split, clips in splits.items()
        },
    )


class PassDrawer:
    """Draw augmented clips so that an epoch holds each training clip once, in its own order."""

    def __init__(self, recipe: Recipe, data: ClassData) -> None:
        self._recipe = recipe
        clips = data.clips("training")
        self._clips = [(clip, data.labels.index(clip.label)) for clip in clips]
        self._cache = ClipCache()
        self._noise = _background_noise(recipe.data.path("clips"))
        self._rooms = (
            augmentation.read_rooms(recipe.data.path("rooms"))
            if recipe.augmentation.reverb_probability
            else []
        )

    @property
    def n_steps(self) -> int:
        """Batches of an epoch; the last one may be short."""
        return -(-len(self._clips) // self._recipe.fit.batch_size)

    def draw_batch(
        self, epoch: int, step: int, rng: np.random.Generator
    ) -> list[tuple[NDArray[np.int16], int]]:
        """Return the clips of batch number (epoch, step) with the indices of their labels.

        Steps beyond the epoch's go on with the next epochs' clips.
        """
        more, step = divmod(step, self.n_steps)
        order = np.random.default_rng((self._recipe.seed, epoch + more, *ORDER))
        size = self._recipe.fit.batch_size
        chosen = order.permutation(len(self._clips))[step * size : (step + 1) * size]
        return [(self.draw(int(index), rng), self._clips[index][1]) for index in chosen]

    def draw(self, index: int, rng: np.random.Generator) -> NDArray[np.int16]:
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
        return augmentation.to_int16(changed)

    def _background(self, rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
        """Return noise of the data's own, or made noise: another clip would be another class."""
        if self._noise.recordings:
            return self._noise.cut(rng, n_samples)
        return made_noise.coloured(rng, n_samples)


def _background_noise(root: Path | None) -> NoiseBank:
    """Return the training part of the recordings in the noise folder of a folder tree."""
    if root is None or not (root / folders.NOISE_FOLDER).is_dir():
        return NoiseBank(())
    return noise.split_noise(root, "training")
