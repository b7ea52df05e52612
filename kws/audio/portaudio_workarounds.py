"""Work around PortAudio: threads that spin in an endless loop, and C code that prints."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

TASKS = Path("/proc/self/task")
# A waiting thread takes almost no CPU; a spinning one reaches this even on a loaded machine.
SPIN_CPU_S = 2.0


def library_threads() -> frozenset[int]:
    """Return the native ids of threads that Python did not start; empty outside Linux."""
    try:
        found = {int(path.name) for path in TASKS.iterdir()}
    except OSError:
        return frozenset()
    return frozenset(found.difference(thread.native_id for thread in threading.enumerate()))


def cpu_s(thread_id: int) -> float:
    """Return the CPU time of a thread of this process; 0 if it does not exist."""
    try:
        stat = (TASKS / str(thread_id) / "stat").read_text()
    except OSError:
        return 0.0
    # After the name, which may hold anything: state, 10 numbers, then user and system time.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class SpinWatch:
    """Detect whether one of some threads spins in an endless loop.

    Parameters
    ----------
    thread_ids : iterable of int
        The threads to watch.
    limit_s : float
        CPU time of one thread from now on that counts as spinning. Raising it detects a loop
        later and allows slower calls.
    """

    def __init__(self, thread_ids: Iterable[int], *, limit_s: float = SPIN_CPU_S) -> None:
        self._limit_s = limit_s
        self._began: dict[int, float] = {}
        for thread_id in thread_ids:
            self.add(thread_id)

    def add(self, thread_id: int) -> None:
        """Watch one more thread."""
        self._began[thread_id] = cpu_s(thread_id)

    def spins(self) -> bool:
        """Return whether one of the threads has reached the limit."""
        began = list(self._began.items())
        return any(cpu_s(each) - began_s >= self._limit_s for each, began_s in began)


class StderrSilencer:
    """Redirect file descriptor 2 to /dev/null for a moment: PortAudio and ALSA print from C.

    They print several lines at each attempt to open a lost device, twice a second. Meanwhile
    the whole process has no standard error, so keep it short; `restore` may be called from any
    thread. All silencers share the one descriptor: it is back once none of them silences it.
    """

    _lock = threading.Lock()
    _active: set[StderrSilencer] = set()
    _kept: int | None = None

    def silence(self) -> None:
        """Redirect standard error; do nothing where there is none."""
        shared = StderrSilencer
        with shared._lock:
            if shared._kept is None:
                try:
                    shared._kept = os.dup(2)
                except OSError:
                    return
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                os.close(null)
            shared._active.add(self)

    def restore(self) -> None:
        """Restore it, unless another silencer is active; safe to call twice."""
        shared = StderrSilencer
        with shared._lock:
            shared._active.discard(self)
            if shared._kept is not None and not shared._active:
                os.dup2(shared._kept, 2)
                os.close(shared._kept)
                shared._kept = None
