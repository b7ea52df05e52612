"""What `kws-listen` prints: detections, events and the summary, as text or as JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kws.cli import program
from kws.cli.meter import CpuGauge, LevelGauge
from kws.decision.policy import Detection
from kws.live.sinks import Sink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.live.reports import ListenerEvent


class Output(Sink):
    """Print results on stdout as text or JSON; everything else goes to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.announced = False
        """True once the record that listening has begun is due."""

    def announce(self, **details: Any) -> None:
        """Print, once, that listening has begun."""
        if self.as_json and not self.announced:
            program.print_json({"type": "status", "event": "listening", **details})
        self.announced = True

    def detection(self, detection: Detection) -> None:
        """Print a detection."""
        if self.as_json:
            record = {
                "type": "detection",
                "keyword": detection.keyword,
                "score": round(detection.score, 4),
                "time_s": round(detection.time_s, 4),
            }
            program.print_json(record)
        else:
            print(
                f"{detection.time_s:8.2f} s  {detection.keyword:<8} {detection.score:.2f}",
                flush=True,
            )

    def status(self, event: ListenerEvent) -> None:
        """Print an event of the microphone as JSON; as text, the listener logs it."""
        if self.as_json:
            program.print_json(
                {
                    "type": "status",
                    "event": event.kind,
                    "text": event.text,
                    "time_s": round(event.time_s, 3),
                }
            )

    def summarise(self, counts: dict[str, Any]) -> None:
        """Print the one summary line."""
        if self.as_json:
            program.print_json({"type": "summary", **counts})
            return
        say(
            f"{counts['audio_s']:.1f} s of audio, {counts['detections']} detection(s), "
            f"{counts['lost_samples']} sample(s) lost"
        )


class StatusReports(Sink):
    """Print counts, level and CPU at an interval: `--status-every`."""

    def __init__(
        self, every_s: float, *, as_json: bool, state: Callable[[], dict[str, Any]]
    ) -> None:
        self._every_s = every_s
        self._as_json = as_json
        self._state = state
        self._level, self._cpu = LevelGauge(), CpuGauge()
        self._printed_s = time.monotonic()

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Measure the level."""
        self._level.push(samples)

    def poll(self) -> None:
        """Print a report when it is due."""
        now = time.monotonic()
        if now - self._printed_s < self._every_s:
            return
        self._printed_s = now
        state = self._state()
        level_db, cpu_percent = self._level.read(), self._cpu.read()
        if self._as_json:
            state.update(level_db=round(level_db, 1), cpu_percent=round(cpu_percent, 2))
            program.print_json({"type": "status", "event": "running", **state})
        else:
            say(
                f"{state['audio_s']:.0f} s, {state['detections']} detection(s), "
                f"{state['lost_samples']} sample(s) lost, level {level_db:.1f} dB, "
                f"CPU {cpu_percent:.1f} %"
            )


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)
