"""Callbacks that do not return until a test lets them, and detections to call them with."""

from __future__ import annotations

import threading

from kws.decision.policy import Detection


class Gate:
    """A callback that does not return until it is let go; it notes each detection first."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self._entered = threading.Semaphore(0)
        self._let_go = threading.Event()

    def __call__(self, found: Detection) -> None:
        self.heard.append(found.time_s)
        self._entered.release()
        assert self._let_go.wait(60)

    def wait_for_a_call(self) -> None:
        assert self._entered.acquire(timeout=60)

    def let_go(self) -> None:
        self._let_go.set()


def detection(keyword: str, time_s: float = 1.0) -> Detection:
    return Detection(keyword, 0.9, time_s)
