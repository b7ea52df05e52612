"""A panel on the terminal while listening: level, scores, detections, losses, CPU."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import Detection
from kws.errors import MissingDependencyError
from kws.live.sinks import Sink

if TYPE_CHECKING:
    from rich.table import Table

BAR_CELLS = 24
FLOOR_DB = -60.0
SILENCE_DB = -96.0
# Drawing costs more than spotting.
DRAW_S = 0.2
CPU_S = 1.0
# A keyword's best score stays visible for this long.
HELD_S = 1.5


class LevelGauge:
    """RMS level of the audio since the last reading."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._n_samples = 0

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take int16 ``(n_samples,)``."""
        self._energy += float(np.sum(np.square(samples, dtype=np.float64)))
        self._n_samples += len(samples)

    def read(self) -> float:
        """Return the level in dB relative to full scale, at least -96, and start again."""
        mean = self._energy / max(1, self._n_samples)
        self._energy, self._n_samples = 0.0, 0
        return max(SILENCE_DB, 10 * float(np.log10(max(mean, 1e-9) / 32_768**2)))


class CpuGauge:
    """CPU time of this process in relation to wall time since the last reading."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.monotonic()

    def read(self) -> float:
        """Return percent of one core."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        used_s, gone_s = cpu_s - self._cpu_s, wall_s - self._wall_s
        self._cpu_s, self._wall_s = cpu_s, wall_s
        return 100 * used_s / gone_s if gone_s > 0 else 0.0


class Meter(Sink):
    """Show the level and each keyword's latest best score, on stderr.

    Only the keywords are shown of the labels; `state` gives the counts, and whether there is a
    microphone.

    Raises
    ------
    MissingDependencyError
        If rich is not installed.
    """

    def __init__(
        self,
        labels: Sequence[str],
        keywords: Sequence[str],
        *,
        state: Callable[[], dict[str, Any]],
        hop_s: float = 0.1,
    ) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ModuleNotFoundError as error:
            raise MissingDependencyError("--meter needs rich; pip install rich") from error
        self._state = state
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
            # Lines printed on the same terminal must go above the panel; rich would take lines
            # away from a pipe.
            redirect_stdout=_on_one_terminal(),
        )
        self._live.start()

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Show the level of the samples."""
        self._level.push(samples)
        self._draw()

    def show_scores(
        self, time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        """Take the scores of a hop: a hook for `KeywordSpotter.on_posterior`."""
        shown = posterior if scores is None else scores
        self._time_s = time_s
        fresh = (shown >= self._best) | (time_s - self._best_s > self._held_s)
        self._best[fresh] = shown[fresh]
        self._best_s[fresh] = time_s

    def detection(self, detection: Detection) -> None:
        """Count a detection."""
        self._n_detections += 1
        self._last = f"last {detection.keyword} at {detection.time_s:.1f} s"

    def poll(self) -> None:
        """Show the time, lost audio and whether there is a microphone; remove old scores.

        No new scores come while the energy gate is closed or there is no microphone.
        """
        state = self._state()
        lost, losses = state["lost_samples"], state.get("losses", 0)
        self._trouble = f"{lost} sample(s) lost, {losses} loss(es) of the device"
        if not state["listening"]:
            self._trouble = f"no microphone; {self._trouble}"
        self._time_s = state["audio_s"]
        self._best[self._time_s - self._best_s > self._held_s] = 0.0
        self._draw()

    def close(self, timeout_s: float = 0.0) -> None:
        """Remove the panel."""
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
    """Return whether standard output and standard error are the same terminal."""
    try:
        output, error = sys.stdout.fileno(), sys.stderr.fileno()
        return os.isatty(output) and os.path.samestat(os.fstat(output), os.fstat(error))
    except (AttributeError, OSError, ValueError):
        return False


def _bar(share: float) -> str:
    filled = round(BAR_CELLS * min(1.0, max(0.0, share)))
    return "█" * filled + "·" * (BAR_CELLS - filled)
