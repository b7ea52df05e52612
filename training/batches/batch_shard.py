"""One worker's part of every batch: N workers see exactly the clips that one would."""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.batches import augmentation
from training.batches.cached_batches import BankBatchMaker, open_bank
from training.batches.task import open_batches
from training.config.cluster import Cluster
from training.config.recipe import Recipe

FloatArray = NDArray[np.float32]


class Maker(Protocol):
    """What makes batch number ``(epoch, step)``."""

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return normalised features and targets."""


class BatchPart:
    """Make the whole batch and keep this worker's rows: its clips are drawn one after another."""

    def __init__(self, maker: Maker, cluster: Cluster) -> None:
        self._maker, self._cluster = maker, cluster

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return this worker's rows of features and targets."""
        features, targets = self._maker.make(epoch, step)
        rows = self._cluster.rows(len(targets))
        return features[rows], targets[rows]


class BankPart(BankBatchMaker):
    """Read this worker's clips of a batch from a bank, and those that mixup blends into them."""

    def __init__(self, recipe: Recipe, cluster: Cluster) -> None:
        super().__init__(recipe, open_bank(recipe))
        self._cluster = cluster
        self._shape = recipe.input_shape

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return this worker's rows of features and targets."""
        config = self._recipe.augmentation
        rng = np.random.default_rng((self._recipe.seed, epoch, step))
        chosen = self._chosen(epoch, step)
        gains = [self._gain(rng) for _ in chosen]
        rows = self._cluster.rows(len(chosen))
        wanted = self._wanted(rows, len(chosen), rng)
        samples = np.stack([self._clip(int(chosen[n]), gains[n]) for n in wanted])
        # As large as the whole batch, so that masks and mixup draw what they draw there.
        features = np.zeros((len(chosen), *self._shape), np.float32)
        n_frames = self._recipe.model.window_frames
        features[wanted] = self._features.windows(samples, n_frames=n_frames)
        targets = self._targets(chosen)
        if features.ndim == 3:
            augmentation.mask_features(features, config, rng)
        if config.mixup_probability:
            features, targets = augmentation.mix_up(features, targets, config, rng)
        return features[rows], targets[rows]

    def _wanted(self, rows: slice, n_clips: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return which clips of the batch flow into `rows`; leaves `rng` as it was."""
        config = self._recipe.augmentation
        parts = np.eye(n_clips, dtype=np.float32)
        if config.mixup_probability:
            ahead = copy.deepcopy(rng)
            if len(self._shape) == 2:
                augmentation.mask_features(np.empty((n_clips, *self._shape)), config, ahead)
            parts, _ = augmentation.mix_up(parts, parts, config, ahead)
        return np.flatnonzero(parts[rows].any(axis=0))


def open_part(recipe: Recipe, cluster: Cluster) -> Maker:
    """Return what makes this worker's part of the recipe's batches; all of them for one alone.

    Raises
    ------
    ConfigError
        If a source is missing or does not hold what the recipe wants.
    """
    if cluster.n_workers == 1:
        return open_batches(recipe)
    if recipe.bank.path:
        return BankPart(recipe, cluster)
    return BatchPart(open_batches(recipe), cluster)
