"""Training batches of pictures: each of them once an epoch, changed as the recipe says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.batches.class_sampler import PassDrawer
from training.batches.picture_augmentation import change_picture
from training.batches.picture_recipe import UNCHANGED
from training.config.recipe import Recipe
from training.datasets.spectrogram_images import Picture, network_input
from training.datasets.splits import ClassData

FloatArray = NDArray[np.float32]


class PictureDrawer(PassDrawer):
    """Draw pictures in the order in which a `PassDrawer` draws clips."""

    def __init__(self, recipe: Recipe, data: ClassData) -> None:
        super().__init__(replace(recipe, augmentation=UNCHANGED), data)

    def draw(self, index: int, rng: np.random.Generator) -> Picture:
        """Return picture `index`, changed."""
        picture = self._cache.read(self._clips[index][0])
        return change_picture(picture, self._recipe.pictures, rng)


class PictureBatchMaker:
    """Make batch number ``(epoch, step)``: the same for the same seed, also after a resume."""

    def __init__(self, recipe: Recipe, data: ClassData) -> None:
        self._recipe = recipe
        self._drawer = PictureDrawer(recipe, data)

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return pictures ``(batch, 64, 64, 3)`` of 0..1 and targets ``(batch, labels)``."""
        rng = np.random.default_rng((self._recipe.seed, epoch, step))
        drawn = self._drawer.draw_batch(epoch, step, rng)
        pictures = network_input(np.stack([picture for picture, _ in drawn]))
        targets = np.eye(len(self._recipe.data.labels), dtype=np.float32)[[i for _, i in drawn]]
        return pictures, targets


def picture_features(clips: Sequence[Any]) -> FloatArray:
    """Return pictures on disk as the network takes them."""
    return network_input(np.stack([clip.read() for clip in clips]))
