"""A process of its own that makes the batches, so that Python's lock never holds up training."""

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

from training.batches.batch_shard import Maker, open_part
from training.batches.task import check_sources
from training.config.cluster import ALONE, Cluster
from training.config.recipe import Recipe

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
# Batches made before they are asked for: enough to ride out a slow one, 2 MB each.
AHEAD = 6

_maker: Maker | None = None


def _start(recipe: Recipe, cluster: Cluster) -> None:
    """Open the sources in the worker process."""
    global _maker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The matrices are small: BLAS threads would only fight with TensorFlow's.
    threadpool_limits(1)
    _maker = open_part(recipe, cluster)


def _end_with_parent() -> None:
    """End this process when the training is killed: nobody would tell it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _make(epoch: int, step: int) -> Batch:
    assert _maker is not None
    return _maker.make(epoch, step)


class BatchFeeder:
    """Make batches, or one worker's part of them, in a process of its own, a few ahead."""

    def __init__(self, recipe: Recipe, cluster: Cluster = ALONE) -> None:
        # Here too, so that a missing folder is an error of the caller's, not of a dead worker.
        check_sources(recipe)
        self._steps_per_epoch = recipe.fit.steps_per_epoch
        self._n_batches = recipe.fit.epochs * self._steps_per_epoch
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(recipe, cluster),
        )

    def __enter__(self) -> BatchFeeder:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, first_epoch: int) -> Iterator[Batch]:
        """Yield the batches of `first_epoch` and of all that follow, in order."""
        numbers = iter(range(first_epoch * self._steps_per_epoch, self._n_batches))
        coming = deque(self._submit(number) for number in islice(numbers, AHEAD))
        while coming:
            batch = coming.popleft().result()
            coming.extend(self._submit(number) for number in islice(numbers, 1))
            yield batch

    def _submit(self, number: int) -> Future[Batch]:
        epoch, step = divmod(number, self._steps_per_epoch)
        return self._pool.submit(_make, epoch, step)
