"""Warnings that may come thick and fast, told at most once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from math import inf


class PacedLog:
    """Warn at most once in a while about each kind of thing; count what is held back.

    The kind is the message before its arguments are filled in. Of what is held back the latest
    is told, with how many there were, by `tend` once the pause is over, or by `flush`.

    Parameters
    ----------
    logger : logging.Logger
        Where the warnings go.
    interval_s : float
        Pause between two warnings of a kind.
    clock : callable
        Seconds that only ever go up.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._interval_s = interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._told_s: dict[str, float] = {}
        self._held: dict[str, tuple[int, tuple[object, ...]]] = {}

    def warn(self, message: str, *arguments: object) -> None:
        """Log a warning, now or, if there was one of its kind just now, later."""
        with self._lock:
            n_held, _ = self._held.get(message, (0, ()))
            self._held[message] = (n_held + 1, arguments)
        self.tend()

    def tend(self) -> None:
        """Tell what was held back, as far as its pause is over; costs nothing if nothing was."""
        if self._held:
            self._tell(pause_s=self._interval_s)

    def flush(self) -> None:
        """Tell all that was held back."""
        self._tell(pause_s=0.0)

    def _tell(self, *, pause_s: float) -> None:
        now = self._clock()
        with self._lock:
            due = [kind for kind in self._held if now >= self._told_s.get(kind, -inf) + pause_s]
            told = [(kind, *self._held.pop(kind)) for kind in due]
            self._told_s.update((kind, now) for kind in due)
        for message, n_held, arguments in told:
            more = f" (and {n_held - 1} more like this)" if n_held > 1 else ""
            self._logger.warning(message + more, *arguments)
