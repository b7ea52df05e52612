"""Keep C libraries from printing to standard error for a moment."""

from __future__ import annotations

import os
import threading


class QuietStderr:
    """Turn file descriptor 2 away, and back: PortAudio and ALSA print from C.

    At each attempt to open a lost device they print several lines, every half second for as long
    as it takes. sounddevice does the same while PortAudio starts. Meanwhile the whole process has
    no standard error, so it must not last: `restore` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: int | None = None

    def start(self) -> None:
        """Turn standard error away; without one nothing happens."""
        with self._lock:
            if self._kept is not None:
                return
            try:
                self._kept = os.dup(2)
            except OSError:
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def restore(self) -> None:
        """Turn it back; safe to call twice."""
        with self._lock:
            if self._kept is not None:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                self._kept = None
