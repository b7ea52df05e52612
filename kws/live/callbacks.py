"""Run users' callbacks away from the audio, so that none holds up the audio or the others."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import BuiltinMethodType, MethodType

from kws.decision.policy import Detection
from kws.live.rate_limited_log import PacedLog

logger = logging.getLogger(__name__)
Callback = Callable[[Detection], object]
# Detections that may wait for a callback; at one a second that is a minute.
MAX_WAITING = 64
# A callback that runs longer no longer holds up the others.
PATIENCE_S = 2.0
# How often `close`, which waits, looks after the callbacks itself.
CLOSE_TEND_S = 0.05


@dataclass(eq=False)
class _Registered:
    """A callback, and what is going on with it."""

    function: Callback
    n_waiting: int = 0
    thread: threading.Thread | None = None
    """The one that runs it now; no second one may."""

    since_s: float = 0.0
    """When that began."""

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", None) or repr(self.function)


class CallbackQueue:
    """Call what was registered for a keyword, in order, away from the audio path.

    One thread makes the calls one after another, a keyword's own callbacks before those of all
    keywords. Each callback has room for `MAX_WAITING` detections; beyond that new ones are not
    passed on to it, which is counted and logged. A callback that has run for more than
    `PATIENCE_S` while calls of others wait is left to its thread, and a new thread goes on
    with the others' calls; its own wait, in their order, until it returns. No callback is ever
    called twice at once, so there is at most one thread for each callback and one more.

    An exception in a callback is logged with its keyword and goes no further.

    Parameters
    ----------
    clock : callable
        Seconds that only ever go up; tells how long a callback has run.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._log = PacedLog(logger, clock=clock)
        self._callbacks: list[_Registered] = []
        self._of: dict[str | None, list[_Registered]] = defaultdict(list)
        # Guards what is below. Taken as it is, not as the condition, which does so in Python code:
        # an interrupt in there would leave it taken for ever.
        self._lock = threading.RLock()
        # Notified when a call comes or ends.
        self._changed = threading.Condition(self._lock)
        self._waiting: list[tuple[_Registered, Detection]] = []
        self._threads: list[threading.Thread] = []
        # The thread that makes the calls; every other one ends when its callback returns.
        self._worker: threading.Thread | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Calls that were not made: one for each detection and callback it did not reach."""
        return self._dropped

    def register(self, keyword: str | None, callback: Callback) -> None:
        """Call `callback` on detections of `keyword`, or of all with None."""
        known = next((old for old in self._callbacks if _same(old.function, callback)), None)
        if known is None:
            known = _Registered(callback)
            self._callbacks.append(known)
        self._of[keyword].append(known)

    def post(self, detection: Detection) -> None:
        """Queue a detection; returns at once."""
        called = (*self._of.get(detection.keyword, ()), *self._of.get(None, ()))
        if not called:
            return
        too_late = []
        with self._lock:
            for callback in called:
                if callback.n_waiting < MAX_WAITING:
                    callback.n_waiting += 1
                    self._waiting.append((callback, detection))
                else:
                    self._dropped += 1
                    too_late.append(callback)
            if self._worker is None:
                self._start_worker()
            self._changed.notify_all()
        for callback in too_late:
            self._log.warn(
                "callback %s is behind by %d detections; %s at %.2f s was not passed on to it",
                callback.name,
                MAX_WAITING,
                detection.keyword,
                detection.time_s,
            )

    def tend(self) -> None:
        """Let the others' calls go on where a callback holds them up.

        For the listening loop, about every 50 to 500 ms; costs nearly nothing while nothing
        waits.
        """
        self._log.tend()
        if self._waiting:
            with self._lock:
                self._pass_by()

    def close(self, timeout_s: float = 1.0) -> None:
        """Let running and waiting callbacks finish, but not longer than `timeout_s`.

        Calls not begun by then are dropped. No thread is left but those that a callback keeps.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._worker is threading.current_thread():
                # Called by a callback: what waits behind it needs somebody else.
                self._start_worker()
            while self._unfinished() and (rest := deadline - time.monotonic()) > 0:
                self._changed.wait(min(rest, CLOSE_TEND_S))
                self._pass_by()
            self._drop_waiting()
            self._worker = None
            self._changed.notify_all()
            kept = {callback.thread for callback in self._callbacks}
            free = [thread for thread in self._threads if thread not in kept]
            self._threads = [thread for thread in self._threads if thread in kept]
        for thread in free:
            thread.join()
        self._log.flush()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            callback, detection = call
            try:
                callback.function(detection)
            # SystemExit too: it would end this thread, and with it all callbacks, unnoticed.
            except BaseException:
                logger.exception("the callback of %s raised an exception", detection.keyword)
            with self._lock:
                callback.thread = None
                self._changed.notify_all()

    def _next(self) -> tuple[_Registered, Detection] | None:
        """Wait for the first call whose callback is free; None if another thread makes them now."""
        thread = threading.current_thread()
        with self._lock:
            while self._worker is thread:
                for number, (callback, detection) in enumerate(self._waiting):
                    if callback.thread is None:
                        del self._waiting[number]
                        callback.n_waiting -= 1
                        callback.thread, callback.since_s = thread, self._clock()
                        return callback, detection
                self._changed.wait()
        return None

    def _pass_by(self) -> None:
        """Start another thread if one callback holds up the calls of others for too long."""
        if all(callback.thread is not None for callback, _ in self._waiting):
            return
        running = next((each for each in self._callbacks if each.thread is self._worker), None)
        if self._worker is None or running is None:
            return
        busy_s = self._clock() - running.since_s
        if busy_s > PATIENCE_S:
            self._log.warn(
                "callback %s has been busy for %.1f s; the others go on without it",
                running.name,
                busy_s,
            )
            self._start_worker()

    def _start_worker(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._run, name="kws-callbacks", daemon=True)
        # Starting waits in Python code: a thread in which that was interrupted is not the worker,
        # and ends by itself.
        thread.start()
        self._worker = thread
        self._threads.append(thread)

    def _unfinished(self) -> bool:
        # A callback may close the listener: it cannot wait for itself.
        ignored = (None, threading.current_thread())
        busy = any(callback.thread not in ignored for callback in self._callbacks)
        return busy or any(callback.thread not in ignored[1:] for callback, _ in self._waiting)

    def _drop_waiting(self) -> None:
        if not self._waiting:
            return
        names = sorted({callback.name for callback, _ in self._waiting})
        logger.warning(
            "%d detections were not passed on to callbacks before the end: %s",
            len(self._waiting),
            ", ".join(names),
        )
        self._dropped += len(self._waiting)
        for callback, _ in self._waiting:
            callback.n_waiting = 0
        self._waiting.clear()


def _same(one: Callback, other: Callback) -> bool:
    """Tell whether two callables are one: each look at a method makes a new object of it."""
    if isinstance(one, (MethodType, BuiltinMethodType)):
        return one == other
    return one is other
