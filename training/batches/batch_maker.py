"""Batch number ``(epoch, step)`` of drawn clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.batches import augmentation
from training.config.recipe import Recipe

FloatArray = NDArray[np.float32]


class Sampler(Protocol):
    """Draws the clips of a batch."""

    def draw_batch(
        self, epoch: int, step: int, rng: np.random.Generator
    ) -> Sequence[tuple[NDArray[Any], int]]:
        """Return augmented clips with the indices of their labels."""


class DrawnBatches:
    """Batches of clips that a sampler draws: the same for the same seed, also after a resume.

    `inputs` turns stacked clips into the network's input.
    """

    def __init__(
        self, recipe: Recipe, sampler: Sampler, inputs: Callable[[NDArray[Any]], FloatArray]
    ) -> None:
        self._recipe, self._sampler, self._inputs = recipe, sampler, inputs

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return normalised features, a network's input, and targets ``(batch, n_labels)``."""
        config = self._recipe.augmentation
        rng = np.random.default_rng((self._recipe.seed, epoch, step))
        drawn = self._sampler.draw_batch(epoch, step, rng)
        features = self._inputs(np.stack([samples for samples, _ in drawn]))
        targets = np.eye(len(self._recipe.data.labels), dtype=np.float32)[[i for _, i in drawn]]
        if features.ndim == 3:
            # Waveforms have no bands to mask, and pictures have changes of their own.
            augmentation.mask_features(features, config, rng)
        if config.mixup_probability:
            features, targets = augmentation.mix_up(features, targets, config, rng)
        return features, targets
