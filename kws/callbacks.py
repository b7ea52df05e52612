"""Run users' callbacks in a thread of their own, so that they never hold up the audio."""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable

from kws.decision import Detection

logger = logging.getLogger(__name__)
Callback = Callable[[Detection], object]
# Detections that may wait while a callback runs; at one a second that is a minute.
MAX_WAITING = 64


class CallbackThread:
    """Call what was registered for a keyword, in order, away from the audio path.

    An exception in a callback is logged with its keyword and goes no further. When more than
    `MAX_WAITING` detections wait, new ones are dropped for the callbacks, and logged.
    """

    def __init__(self) -> None:
        self._callbacks: dict[str | None, list[Callback]] = defaultdict(list)
        self._waiting: queue.Queue[Detection | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def register(self, keyword: str | None, callback: Callback) -> None:
        """Call `callback` on detections of `keyword`, or of all with None."""
        self._callbacks[keyword].append(callback)

    def post(self, detection: Detection) -> None:
        """Queue a detection; returns at once."""
        if not self._callbacks:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kws-callbacks", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(detection)
        except queue.Full:
            logger.warning(
                "callbacks are behind by %d detections; %s at %.2f s was not passed on",
                MAX_WAITING,
                detection.keyword,
                detection.time_s,
            )

    def close(self, timeout_s: float = 1.0) -> None:
        """Let waiting callbacks finish, but not longer than `timeout_s`."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)
        self._thread = None

    def _run(self) -> None:
        while (detection := self._waiting.get()) is not None:
            for callback in (*self._callbacks[detection.keyword], *self._callbacks[None]):
                try:
                    callback(detection)
                except Exception:
                    logger.exception("the callback of %s raised an exception", detection.keyword)
