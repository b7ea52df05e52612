"""The workers that train together, as one of them sees the others: sums over all, no endless wait.

TensorFlow's multi-worker strategy starts the servers, notices within about ten seconds that a
worker died, and adds up over all. It knows no end to waiting for workers that are busy.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kws.errors import KwsError
from training.config.cluster import Cluster
from training.fit.start_barrier import REMEDY, TeamError, meet, unreachable

T = TypeVar("T")


class Team:
    """The cluster, joined. Every worker must call the same methods in the same order.

    Parameters
    ----------
    cluster : Cluster
        Who trains; the same in TF_CONFIG, which TensorFlow reads.
    timeout_s : float
        Longest wait for the others. Raising it tells a lost machine later, and lets workers
        be busy with themselves for longer.
    """

    def __init__(self, cluster: Cluster, *, timeout_s: float) -> None:
        self.cluster = cluster
        self._timeout_s = timeout_s
        self.strategy: Any = None
        meet(cluster, timeout_s=timeout_s)
        # Joining holds Python's lock, so only this ends it where a worker died since.
        faulthandler.dump_traceback_later(timeout_s, exit=True)
        with self.waiting():
            # Without its timeout_seconds: that keeps a sleeping thread for every sum until the
            # time is over, thousands of them, and ends in a crash.
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        faulthandler.cancel_dump_traceback_later()
        self._sums = tf.function(self._add_up, autograph=False)

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            # Nobody leaves before the chief has written everything: that would look like a loss.
            self.gather([0.0])

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the other workers inside; end in one clear line where they do not come.

        Raises
        ------
        TeamError
            If another worker is lost.
        """
        name, limit_s = self.cluster.name(), self._timeout_s
        said = f"{name}: the others gave no answer within {limit_s:g} s; {REMEDY}"
        over = threading.Event()
        watch = threading.Thread(target=_end_unless, args=(over, limit_s, said), daemon=True)
        watch.start()
        try:
            yield
        except tf.errors.OpError as error:
            raise TeamError(f"{name}: {self._reason(error)}; {REMEDY}") from error
        finally:
            over.set()

    def _reason(self, error: tf.errors.OpError) -> str:
        if self.strategy is None:
            return f"cannot join the others: {str(error).splitlines()[0]}"
        named = re.search(r"unhealthy.*?/job:(\w+)/\S*?task:(\d+)", str(error), re.DOTALL)
        if not named:
            # A connection that breaks in the middle of a sum is told before, and without, who.
            gone = ", ".join(map(self.cluster.name, unreachable(self.cluster)))
            return f"lost {gone or 'another worker'}"
        jobs = self.strategy.cluster_resolver.cluster_spec().as_dict()
        before = len(jobs.get("chief", [])) if named[1] == "worker" else 0
        return f"lost {self.cluster.name(before + int(named[2]))}"

    def _add_up(self, values: Any) -> Any:
        def add(given: Any) -> Any:
            # The identity lies on this worker's device; a function's argument is on none.
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(given))

        return self.strategy.run(add, (values,))

    def add_up(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of all workers' arrays of one shape."""
        with self.waiting():
            total: NDArray[np.float64] = self._sums(tf.constant(values, tf.float64)).numpy()
        return total

    def gather(self, values: Sequence[float]) -> NDArray[np.float64]:
        """Return every worker's numbers, ``(n_workers, n_values)``; also waits for all of them."""
        mine = np.zeros((self.cluster.n_workers, len(values)))
        mine[self.cluster.index] = values
        return self.add_up(mine)

    def agree(self, prepare: Callable[[], T]) -> T:
        """Return what `prepare` makes, once it has worked for every worker.

        Raises
        ------
        KwsError
            This worker's own, or that of another one failed.
        """
        failure: KwsError | None = None
        made: Any = None
        try:
            made = prepare()
        except KwsError as error:
            failure = error
        failed = np.flatnonzero(self.gather([float(failure is not None)])[:, 0])
        if failure is not None:
            raise failure
        if len(failed):
            who = ", ".join(self.cluster.name(int(number)) for number in failed)
            raise TeamError(f"{self.cluster.name()}: {who} failed; its own message says why")
        result: T = made
        return result


def _end_unless(over: threading.Event, limit_s: float, said: str) -> None:
    """End the process with one line unless the wait is over in time.

    The main thread sits inside TensorFlow then, where no exception reaches it.
    """
    if over.wait(limit_s):
        return
    sys.stderr.write(f"kws-train: error: {said}\n")
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(1)
