"""Simulated time for tests: it advances only when a thread waits; threads take turns."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable
from typing import Any

# More readings of the clock at one moment mean an endless loop.
MAX_IDLE_LOOKS = 20_000


class StuckError(AssertionError):
    """A loop never ends, or a wait is for something that will never happen."""


class _OverError(BaseException):
    """Unwinds a hanging call at the end of the test."""


class Clock:
    """Seconds that advance only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class VirtualTime:
    """A clock that advances from one planned action to the next."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._planned: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._n_looks = 0
        self.n_steps = 0
        self.running: FakeCall | None = None
        """The call that is running; None is the test's own thread."""

        self.over = False

    def at(self, time_s: float, action: Callable[[], object]) -> None:
        """Run `action` at a time; actions of the same moment run in order."""
        if time_s < math.inf:
            heapq.heappush(self._planned, (time_s, next(self._numbers), action))

    def next_s(self) -> float:
        """Return the time of the next action."""
        return self._planned[0][0] if self._planned else math.inf

    def step(self, until_s: float) -> bool:
        """Advance to the next action and run it; False if `until_s` comes first."""
        with self._lock:
            if self.next_s() > until_s:
                self._move(until_s)
                return False
            time_s, _, action = heapq.heappop(self._planned)
            self.n_steps += 1
            self._move(time_s)
            action()
            return True

    def look(self) -> float:
        """Return the time; fails in an endless loop."""
        self._n_looks += 1
        if self._n_looks > MAX_IDLE_LOOKS:
            raise StuckError(f"an endless loop reads the clock at {self.now_s:.6f} s")
        return self.now_s

    def take(self, seconds: float) -> None:
        """Let the running thread be busy for a while, and time advance."""
        if self.running is not None and self.running.is_current():
            self.running.take(seconds)
            return
        until_s = self.now_s + seconds
        while self.step(until_s):
            pass

    def end(self, calls: list[FakeCall]) -> None:
        """End the simulation, and with it calls that hang."""
        with self._lock:
            self.over = True
            for call in calls:
                call.go_on()

    def _move(self, time_s: float) -> None:
        if time_s == math.inf:
            raise StuckError("a wait without end: no action is planned any more")
        if time_s > self.now_s:
            self.now_s = time_s
            self._n_looks = 0


class FakeCall:
    """A `BackgroundCall` in simulated time: it may take any time, or hang."""

    def __init__(
        self,
        time: VirtualTime,
        function: Callable[[], Any],
        ready: threading.Event,
        *,
        starts_after_s: float = 0.0,
    ) -> None:
        self._time = time
        self._function = function
        self._ready = ready
        self._outcome: Any = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._its_turn = threading.Semaphore(0)
        self._our_turn = threading.Semaphore(0)
        self.done = False
        time.at(time.now_s + starts_after_s, self.go_on)

    def result(self) -> Any:
        assert self.done
        if self._error is not None:
            raise self._error
        return self._outcome

    def join(self, timeout_s: float) -> bool:
        deadline = self._time.now_s + timeout_s
        while not self.done and self._time.step(deadline):
            pass
        return self.done

    def take(self, seconds: float) -> None:
        """Let time pass inside the call; infinity hangs it."""
        self._time.at(self._time.now_s + seconds, self.go_on)
        self._our_turn.release()
        self._its_turn.acquire()
        if self._time.over:
            raise _OverError

    def is_current(self) -> bool:
        """Return whether the current thread is this call's."""
        return threading.current_thread() is self._thread

    def go_on(self) -> None:
        """Run the call until it waits or ends."""
        if self.done or (self._time.over and self._thread is None):
            return
        before, self._time.running = self._time.running, self
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fake-call", daemon=True)
            self._thread.start()
        else:
            self._its_turn.release()
        self._our_turn.acquire()
        self._time.running = before
        if self.done:
            self._thread.join()
            self._ready.set()

    def _run(self) -> None:
        try:
            self._outcome = self._function()
        except BaseException as error:
            self._error = error
        self.done = True
        self._our_turn.release()
