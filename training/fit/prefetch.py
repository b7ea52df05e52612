"""Batches made ahead in a separate process, so that Python's lock never delays training."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from training.batches.batch_maker import DrawnBatches
from training.batches.cached_batches import CachedBatches
from training.batches.clip_cache import no_interrupts
from training.batches.task import Task, open_task
from training.config.cluster import ALONE, Cluster
from training.config.recipe import Recipe

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
# Batches made ahead, 2 MB each: enough to bridge a slow one.
AHEAD = 6

_batches: DrawnBatches | CachedBatches | None = None
_cluster = ALONE


def _start(recipe: Recipe, cluster: Cluster) -> None:
    """Open the sources in the worker process."""
    global _batches, _cluster
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The matrices are small: BLAS threads would only compete with TensorFlow's.
    threadpool_limits(1)
    _batches, _cluster = open_task(recipe).training_batches(), cluster


def _end_with_parent() -> None:
    """End this process when the training process is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _make(epoch: int, step: int) -> Batch:
    assert _batches is not None
    features, targets = _batches.make(epoch, step)
    rows = _cluster.rows(len(targets))
    return features[rows], targets[rows]


class BatchPrefetcher:
    """Makes a task's batches, or one worker's rows of them, in a process of its own, a few ahead.

    Call `Task.check` first: an error in that process has a traceback.
    """

    def __init__(self, task: Task, cluster: Cluster = ALONE) -> None:
        recipe = task.recipe
        self._steps_per_epoch = recipe.fit.steps_per_epoch
        self._n_batches = recipe.fit.epochs * self._steps_per_epoch
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(recipe, cluster),
        )

    def __enter__(self) -> BatchPrefetcher:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, first_epoch: int) -> Iterator[Batch]:
        """Yield the batches of `first_epoch` and of all that follow, in order."""
        numbers = iter(range(first_epoch * self._steps_per_epoch, self._n_batches))
        with no_interrupts():
            coming = deque(self._submit(number) for number in islice(numbers, AHEAD))
        while coming:
            batch = coming.popleft().result()
            coming.extend(self._submit(number) for number in islice(numbers, 1))
            yield batch

    def _submit(self, number: int) -> Future[Batch]:
        epoch, step = divmod(number, self._steps_per_epoch)
        return self._pool.submit(_make, epoch, step)
