"""One worker's part of the validation clips, as features in a file: they may outgrow memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.batches.prefetch import Batch
from training.config.cluster import Cluster
from training.config.recipe import Recipe
from training.fit import trainer as fits

BATCH = 256


class ValidationPart:
    """Make the features once; hand them out in batches as often as is asked."""

    def __init__(self, recipe: Recipe, cluster: Cluster, folder: Path) -> None:
        clips = fits.validation_clips(recipe)
        self.n_clips = len(clips)
        part = clips[cluster.rows(len(clips))]
        labels = recipe.data.labels
        each = np.array([labels.index(clip.label) for clip in part], np.intp)
        self._targets = np.eye(len(labels), dtype=np.float32)[each]
        self._path = folder / "features.npy"
        if not part:
            return
        features = np.lib.format.open_memmap(
            self._path, mode="w+", dtype=np.float32, shape=(len(part), *recipe.input_shape)
        )
        for start in range(0, len(part), BATCH):
            features[start : start + BATCH] = fits.clip_features(
                part[start : start + BATCH], recipe
            )
        features.flush()

    def batches(self) -> Iterator[Batch]:
        """Yield normalised features and one-hot targets."""
        if not len(self._targets):
            return
        features = np.load(self._path, mmap_mode="r")
        for start in range(0, len(features), BATCH):
            rows = slice(start, start + BATCH)
            yield np.asarray(features[rows]), self._targets[rows]
