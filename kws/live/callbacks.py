"""Run users' callbacks away from the audio: one queue and one worker thread per callback."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from kws.decision.policy import Detection
from kws.live.reports import RateLimitedLog
from kws.live.sinks import Sink

logger = logging.getLogger(__name__)
Callback = Callable[[Detection], object]
# Detections that may wait for a callback; at one a second that is a minute.
MAX_WAITING = 64


class _Worker:
    """Calls one callback with its detections, in order, never twice at once."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.keywords: set[str | None] = set()
        """The keywords it is registered for; None means all."""

        self._queue: queue.SimpleQueue[Detection | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._started = False

    @property
    def name(self) -> str:
        return getattr(self.callback, "__qualname__", None) or repr(self.callback)

    def post(self, detection: Detection) -> bool:
        """Queue a detection; return False if too many wait."""
        if self._queue.qsize() >= MAX_WAITING:
            return False
        self._queue.put(detection)
        if not self._started:
            # A thread that was abandoned in a blocked callback comes first.
            self._thread = threading.Thread(
                target=self._run, args=(self._queue, self._thread), name="kws-callback", daemon=True
            )
            self._started = True
            self._thread.start()
        return True

    def end(self) -> None:
        """End the thread after the detections that wait."""
        if self._started:
            self._queue.put(None)

    def join(self, timeout_s: float) -> int:
        """Wait for the end; return how many detections were discarded because it took too long."""
        waiting, thread, started = self._queue, self._thread, self._started
        self._queue, self._started = queue.SimpleQueue(), False
        # A callback may close the listener; its thread ends on its own.
        if thread is None or not started or thread is threading.current_thread():
            return 0
        thread.join(timeout_s)
        n_discarded = 0
        if thread.is_alive():
            with contextlib.suppress(queue.Empty):
                while True:
                    n_discarded += waiting.get_nowait() is not None
            waiting.put(None)
        return n_discarded

    def _run(
        self,
        waiting: queue.SimpleQueue[Detection | None],
        previous: threading.Thread | None,
    ) -> None:
        if previous is not None:
            previous.join()
        while (detection := waiting.get()) is not None:
            try:
                self.callback(detection)
            # SystemExit too: it would end this thread unnoticed.
            except BaseException:
                logger.exception("the callback of %s raised an exception", detection.keyword)


class Callbacks(Sink):
    """Call functions that are registered for keywords, each in a thread of its own.

    A slow callback delays neither the audio nor the other callbacks. Up to `MAX_WAITING`
    detections wait for it; further ones are dropped, counted and logged. An exception in a
    callback is logged with its keyword.

    Parameters
    ----------
    clock : callable
        Seconds on a monotonic clock, for the rate of the warnings.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers: list[_Worker] = []
        self._log = RateLimitedLog(logger, clock=clock)
        self.dropped = 0
        """Calls that were not made: one for each detection and callback it did not reach."""

    def register(self, keyword: str | None, callback: Callback) -> None:
        """Call `callback` on detections of `keyword`, or of all keywords with None."""
        # Equal, not identical: each access to a method makes a new object.
        worker = next((each for each in self._workers if each.callback == callback), None)
        if worker is None:
            worker = _Worker(callback)
            self._workers.append(worker)
        worker.keywords.add(keyword)

    def detection(self, detection: Detection) -> None:
        """Queue a detection for its callbacks; returns at once."""
        for worker in self._workers:
            if worker.keywords.isdisjoint({detection.keyword, None}) or worker.post(detection):
                continue
            self.dropped += 1
            self._log.warn(
                "callback %s is behind by %d detections; %s at %.2f s was not passed on to it",
                worker.name,
                MAX_WAITING,
                detection.keyword,
                detection.time_s,
            )

    def poll(self) -> None:
        """Log the drops that are due."""
        if self.dropped:
            self._log.poll()

    def close(self, timeout_s: float) -> None:
        """Let running and waiting callbacks finish within `timeout_s`; drop calls not begun."""
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            n_discarded = worker.join(max(0.0, deadline - time.monotonic()))
            if n_discarded:
                self.dropped += n_discarded
                logger.warning(
                    "%d detections were not passed on to callback %s before the end",
                    n_discarded,
                    worker.name,
                )
        self._log.flush()
