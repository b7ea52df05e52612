"""What came of many schedules, in numbers."""

from __future__ import annotations

import collections
import json
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.fuzz_schedules import Trial


class Tally:
    """What came of all schedules so far."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.broken: list[int] = []
        self._started = time.monotonic()

    def add(self, trial: Trial) -> None:
        """Count a schedule that was run."""
        statistics = trial.listener.statistics
        self.outcomes[trial.outcome] += 1
        self.counts["schedules"] += 1
        self.counts["audio_s"] += round(statistics.audio_s)
        self.counts["steps"] += trial.audio.time.n_steps
        self.counts["openings"] += len(trial.audio.asked)
        self.counts["calls left behind"] += trial.audio.n_given_up
        for name in ("losses", "overflows", "detections", "dropped_callbacks", "lost_samples"):
            self.counts[name] += getattr(statistics, name)

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        return json.dumps(
            {
                **self.counts,
                "outcomes": self.outcomes,
                "broken": self.broken,
                "schedules_per_s": round(self.counts["schedules"] / seconds, 1),
                "threads": threading.active_count(),
            }
        )
