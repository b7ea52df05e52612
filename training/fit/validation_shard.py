"""One worker's part of the validation clips, as features in a file: they may outgrow memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.batches.prefetch import Batch
from training.batches.task import Task
from training.config.cluster import Cluster

BATCH = 256


class ValidationPart:
    """Make the features once; hand them out in batches as often as is asked."""

    def __init__(self, task: Task, cluster: Cluster, folder: Path) -> None:
        clips = task.clips("validation")
        self.n_clips = len(clips)
        part = clips[cluster.rows(len(clips))]
        self._targets = task.targets(part)
        self._path = folder / "features.npy"
        if not part:
            return
        features = np.lib.format.open_memmap(
            self._path, mode="w+", dtype=np.float32, shape=(len(part), *task.recipe.input_shape)
        )
        for start in range(0, len(part), BATCH):
            features[start : start + BATCH] = task.features(part[start : start + BATCH])
        features.flush()

    def batches(self) -> Iterator[Batch]:
        """Yield normalised features and one-hot targets."""
        if not len(self._targets):
            return
        features = np.load(self._path, mmap_mode="r")
        for start in range(0, len(features), BATCH):
            rows = slice(start, start + BATCH)
            yield np.asarray(features[rows]), self._targets[rows]
