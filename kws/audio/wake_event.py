"""Something to wait for that an interrupt cannot break: what `threading.Event` is not."""

from __future__ import annotations

import contextlib
import threading


class WakeEvent:
    """An event that wakes one waiting thread; all of it is safe against signals.

    `threading.Event` waits in Python code: a Ctrl-C between two of its steps leaves the lock in
    there released twice, and a ``RuntimeError`` takes the place of the ``KeyboardInterrupt``.
    Here every method is a single call of a lock, held while the event is not set, and a lock
    handles signals either before or after such a call. `set` may also be called from a signal
    handler.
    """

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        """Tell whether `set` was called and nobody has waited or cleared since."""
        return not self._unset.locked()

    def set(self) -> None:
        """Wake the thread that waits, or the next one that will."""
        # Released twice is set already; to ask first would leave room for another thread.
        with contextlib.suppress(RuntimeError):
            self._unset.release()

    def clear(self) -> None:
        """Let the next `wait` wait."""
        self._unset.acquire(blocking=False)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, and clear it.

        Parameters
        ----------
        timeout_s : float
            Seconds to wait at most.

        Returns
        -------
        was_set : bool
            False if the time went by.
        """
        # To a lock, a negative one is no limit.
        return self._unset.acquire(timeout=max(timeout_s, 0.0))
