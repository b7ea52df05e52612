"""CPU time of single threads of this process, those that libraries have started among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

TASKS = Path("/proc/self/task")
# One that waits takes next to nothing; one that turns in circles gets there also where others
# leave it little of a CPU, only later.
SPIN_CPU_S = 2.0


def library_threads() -> frozenset[int]:
    """Return the system's numbers of the threads that Python did not start; empty off Linux."""
    try:
        found = {int(path.name) for path in TASKS.iterdir()}
    except OSError:
        return frozenset()
    return frozenset(found.difference(thread.native_id for thread in threading.enumerate()))


def cpu_s(thread_id: int) -> float:
    """Return the CPU time that a thread of this process has taken; 0 if it is not there."""
    try:
        stat = (TASKS / str(thread_id) / "stat").read_text()
    except OSError:
        return 0.0
    # Behind the name, which may hold anything: state, then 10 numbers, then user and system time.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class SpinWatch:
    """Tell whether one of some threads turns in circles, whatever the others of the process do.

    Parameters
    ----------
    thread_ids : iterable of int
        Those that are watched.
    enough_s : float
        CPU time of one of them, from here on, that only a loop takes. Raising it finds a loop
        later, and takes more that is slow for one.
    """

    def __init__(self, thread_ids: Iterable[int], *, enough_s: float = SPIN_CPU_S) -> None:
        self._enough_s = enough_s
        self._began: dict[int, float] = {}
        for thread_id in thread_ids:
            self.add(thread_id)

    def add(self, thread_id: int) -> None:
        """Watch one more."""
        self._began[thread_id] = cpu_s(thread_id)

    def spins(self) -> bool:
        """Tell whether one of them has taken so much since."""
        began = list(self._began.items())
        return any(cpu_s(each) - began_s >= self._enough_s for each, began_s in began)
