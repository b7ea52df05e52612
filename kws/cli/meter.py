"""A panel on the terminal while listening: level, scores, detections, losses, CPU."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kws.cli.gauges import CpuGauge, LevelGauge
from kws.decision.policy import Detection
from kws.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.table import Table

BAR_CELLS = 24
FLOOR_DB = -60.0
# Faster than anybody reads; drawing costs more than spotting.
DRAW_S = 0.2
CPU_S = 1.0
# A word's best score stays visible for so long.
HELD_S = 1.5


class Meter:
    """Show the level of the last audio and what each keyword has scored lately, on stderr.

    Parameters
    ----------
    labels : sequence of str
        In the order of the model's output.
    keywords : sequence of str
        Those that may fire: they are shown.
    hop_s : float
        Time between scores.

    Raises
    ------
    MissingDependencyError
        If rich is not installed.
    """

    def __init__(
        self, labels: Sequence[str], keywords: Sequence[str], *, hop_s: float = 0.1
    ) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ModuleNotFoundError as error:
            raise MissingDependencyError("--meter needs rich; pip install rich") from error
        self._held_s = max(HELD_S, 2 * hop_s)
        self._rows = [(labels.index(keyword), keyword) for keyword in keywords]
        self._best = np.zeros(len(labels), dtype=np.float32)
        self._best_s = np.zeros(len(labels))
        self._level, self._cpu = LevelGauge(), CpuGauge()
        self._cpu_percent = 0.0
        self._time_s = 0.0
        self._n_detections = 0
        self._last = "none yet"
        self._trouble = "0 samples lost"
        now = time.monotonic()
        self._drawn_at, self._cpu_at = now, now
        self._live = Live(
            console=Console(file=sys.stderr),
            auto_refresh=False,
            transient=True,
            # What is printed must go round the panel on the same terminal; elsewhere rich would
            # take it away from whoever reads it.
            redirect_stdout=_on_one_terminal(),
        )
        self._live.start()

    def show_level(self, samples: NDArray[np.int16]) -> None:
        """Show the level of int16 ``(n_samples,)``."""
        self._level.push(samples)
        self._draw()

    def show_scores(
        self, time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        """Take the scores of a hop; the spotter's `on_posterior` hook."""
        shown = posterior if scores is None else scores
        self._time_s = time_s
        fresh = (shown >= self._best) | (time_s - self._best_s > self._held_s)
        self._best[fresh] = shown[fresh]
        self._best_s[fresh] = time_s

    def show_detection(self, detection: Detection) -> None:
        """Count a detection."""
        self._n_detections += 1
        self._last = f"last {detection.keyword} at {detection.time_s:.1f} s"

    def show_state(self, time_s: float, *, trouble: str) -> None:
        """Show the time, also where there are no scores, and how much audio was lost.

        Scores that are too old go: no newer ones come while a gate is closed or there is no
        microphone.
        """
        self._time_s = time_s
        self._trouble = trouble
        self._best[time_s - self._best_s > self._held_s] = 0.0
        self._draw()

    def close(self) -> None:
        """Take the panel away."""
        self._live.stop()

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at < DRAW_S:
            return
        self._drawn_at = now
        if now - self._cpu_at >= CPU_S:
            self._cpu_at = now
            self._cpu_percent = self._cpu.read()
        self._live.update(self._table(self._level.read()), refresh=True)

    def _table(self, level_db: float) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        filled = 1 - max(FLOOR_DB, level_db) / FLOOR_DB
        table.add_row("level", _bar(filled), f"{level_db:5.1f} dB")
        for index, keyword in self._rows:
            best = float(self._best[index])
            table.add_row(keyword, _bar(best), f"{best:.2f}")
        table.add_row(
            f"{self._time_s:.0f} s",
            f"{self._n_detections} detection(s), {self._last}",
            f"CPU {self._cpu_percent:.1f} %",
        )
        table.add_row("", self._trouble, "")
        return table


def _on_one_terminal() -> bool:
    """Tell whether standard output goes to the terminal that standard error goes to."""
    try:
        output, error = sys.stdout.fileno(), sys.stderr.fileno()
        return os.isatty(output) and os.path.samestat(os.fstat(output), os.fstat(error))
    except (AttributeError, OSError, ValueError):
        return False


def _bar(share: float) -> str:
    filled = round(BAR_CELLS * min(1.0, max(0.0, share)))
    return "█" * filled + "·" * (BAR_CELLS - filled)
