"""A line on the terminal that shows level and scores while listening."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kws.errors import MissingDependencyError

BAR_CELLS = 24
FLOOR_DB = -60.0


class Meter:
    """Show the level of the last audio and the best label, on stderr.

    Raises
    ------
    MissingDependencyError
        If rich is not installed.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ModuleNotFoundError as error:
            raise MissingDependencyError("--meter needs rich; pip install rich") from error
        self._labels = labels
        self._level_db = FLOOR_DB
        self._best = ""
        self._live = Live(console=Console(file=sys.stderr), auto_refresh=False, transient=True)
        self._live.start()

    def show_level(self, samples: NDArray[np.int16]) -> None:
        """Show the RMS level of int16 ``(n_samples,)`` in dB below full scale."""
        rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0
        self._level_db = max(FLOOR_DB, 20 * float(np.log10(max(rms, 1e-3) / 32_768)))
        self._draw()

    def show_scores(
        self, time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        """Show the label that scores best now; the spotter's `on_posterior` hook."""
        shown = posterior if scores is None else scores
        best = int(shown.argmax())
        self._best = f"{time_s:8.1f} s  {self._labels[best]:<10} {float(shown[best]):.2f}"
        self._draw()

    def close(self) -> None:
        """Take the line away."""
        self._live.stop()

    def _draw(self) -> None:
        from rich.text import Text

        filled = round(BAR_CELLS * (1 - self._level_db / FLOOR_DB))
        bar = "█" * filled + "·" * (BAR_CELLS - filled)
        self._live.update(Text(f"{bar} {self._level_db:6.1f} dB {self._best}"), refresh=True)
