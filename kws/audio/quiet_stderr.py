"""Keep C libraries from printing to standard error for a moment."""

from __future__ import annotations

import os
import threading


class QuietStderr:
    """Turn file descriptor 2 away, and back: PortAudio and ALSA print from C.

    At each attempt to open a lost device they print several lines, every half second for as long
    as it takes. sounddevice does the same while PortAudio starts. Meanwhile the whole process has
    no standard error, so it must not last: `restore` may be called from any thread.

    There is one descriptor 2 for all: it is back once nobody wants it away any more.
    """

    _lock = threading.Lock()
    _wanted_by: set[QuietStderr] = set()
    _kept: int | None = None

    def start(self) -> None:
        """Turn standard error away; without one nothing happens."""
        shared = QuietStderr
        with shared._lock:
            if shared._kept is None:
                try:
                    shared._kept = os.dup(2)
                except OSError:
                    return
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
            shared._wanted_by.add(self)

    def restore(self) -> None:
        """Turn it back, unless another one still wants it away; safe to call twice."""
        shared = QuietStderr
        with shared._lock:
            shared._wanted_by.discard(self)
            if shared._kept is not None and not shared._wanted_by:
                os.dup2(shared._kept, 2)
                os.close(shared._kept)
                shared._kept = None
