"""Where samples, detections and events go: the one protocol for every output and integration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kws.decision.policy import Detection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.live.reports import ListenerEvent


class Sink:
    """Receives what goes through a spotter; override the methods you need.

    All methods are called from the thread that listens, in the order of the stream, and must
    return quickly: audio waits for them. An exception ends the listening.
    """

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Take int16 ``(n,)`` at the spotter's rate, before the spotter gets them."""

    def gap(self, n_samples: int) -> None:
        """Note that `n_samples` are missing before the next samples; 0 if unknown how many."""

    def detection(self, detection: Detection) -> None:
        """Take a detection, after the samples that cause it."""

    def status(self, event: ListenerEvent) -> None:
        """Take an event of the microphone, such as its loss."""

    def poll(self) -> None:
        """Do what is due; called about ten times a second, also without audio."""

    def close(self, timeout_s: float) -> None:
        """Finish within `timeout_s` and abandon the rest; must allow a second call."""


class SinkGroup(Sink):
    """Passes everything to several sinks, in order."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = tuple(sinks)

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Pass it on to each sink."""
        for sink in self._sinks:
            sink.samples(samples)

    def gap(self, n_samples: int) -> None:
        """Pass it on to each sink."""
        for sink in self._sinks:
            sink.gap(n_samples)

    def detection(self, detection: Detection) -> None:
        """Pass it on to each sink."""
        for sink in self._sinks:
            sink.detection(detection)

    def status(self, event: ListenerEvent) -> None:
        """Pass it on to each sink."""
        for sink in self._sinks:
            sink.status(event)

    def poll(self) -> None:
        """Pass it on to each sink."""
        for sink in self._sinks:
            sink.poll()

    def close(self, timeout_s: float) -> None:
        """Close all within `timeout_s` together, also those after one that raises."""
        deadline = time.monotonic() + timeout_s

        def close(sink: Sink) -> None:
            sink.close(max(0.0, deadline - time.monotonic()))

        with contextlib.ExitStack() as stack:
            # The stack calls the last one first.
            for sink in reversed(self._sinks):
                stack.callback(close, sink)
