"""One model in one form, measured in rounds, and the figures of all rounds together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start, timing
from kws.bench.stage_timers import PARTS, HopTimers, Split, TimerCost, run_split
from kws.bench.timing import Timings, percentiles_us
from kws.spotter import KeywordSpotter


@dataclass(frozen=True)
class Round:
    """One plain run and one with timers in the stages, on the same audio."""

    plain: Timings
    split: Split


class ModelUnderTest:
    """A model in one form, opened twice: plain, and with timers in its stages.

    Parameters
    ----------
    options : mapping
        Those of `KeywordSpotter.from_model`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)
        self.plain = KeywordSpotter.from_model(**options)
        self._timers = HopTimers()
        self._timed = KeywordSpotter.from_model(**options, timers=self._timers)
        self.opened = self.plain.model.opened
        manifest = self.plain.manifest
        stream = manifest.stream if self.plain.model.mode == "stream" else None
        self._form = stream or manifest.window
        self.file = manifest.path.parent / self._form.file

    def facts(self) -> dict[str, Any]:
        """Return model, form and interpreter."""
        opened = self.opened
        return {
            "model": self.plain.manifest.name,
            "sha256": self._form.sha256[:16],
            "mode": self.plain.model.mode,
            "runtime": opened.runtime,
            "runtime_version": opened.runtime_version,
            "kernels": opened.kernels,
            "threads": opened.n_threads,
            "hop_ms": self.plain.hop_ms,
        }

    def label(self) -> str:
        """Return model, form and interpreter as ``default:window@ai-edge-litert``.

        The model as the user named it: two manifests may have the same name.
        """
        return f"{self.options['name_or_path']}:{self.plain.model.mode}@{self.opened.runtime}"

    def run_round(
        self, samples: NDArray[np.int16], *, cost: TimerCost, paced: bool = False
    ) -> Round:
        """Run over the audio twice: for the whole hop, then for its parts."""
        plain = timing.run(self.plain, samples, paced=paced)
        return Round(plain, run_split(self._timed, self._timers, samples, cost=cost, paced=paced))

    def programs(self) -> list[cold_start.Program]:
        """Return the fresh processes to start: the spotter's and its baseline's."""
        return [
            cold_start.spotter_program(self.options),
            cold_start.baseline_program(self.file, self.opened),
        ]


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of all rounds together.

    ``hop_us`` is of the plain runs; its parts are means of the timed runs, which add up to
    ``split_run.hop_us``. ``cpu_s_per_audio_s`` is the median of the rounds.
    """
    hop_s = np.concatenate([item.plain.hop_s for item in rounds])
    invoke_s = np.concatenate([item.split.invoke_s for item in rounds])
    parts = {
        name: _mean_us(np.concatenate([item.split.parts_s[name] for item in rounds]))
        for name in PARTS
    }
    split_s = np.concatenate([item.split.hop_s for item in rounds])
    cpu = float(np.median([item.plain.cpu_s_per_audio_s for item in rounds]))
    return {
        "invoke_us": percentiles_us(invoke_s),
        "hop_us": {**percentiles_us(hop_s), **parts},
        "split_run": {
            "hop_us": _mean_us(split_s),
            "timers_us": round(1e6 * float(np.mean([item.split.timers_s for item in rounds])), 2),
        },
        "p50_by_part_us": timing.p50_by_part_us([item.plain.hop_s for item in rounds]),
        "cpu_s_per_audio_s": round(cpu, 6),
    }


def n_hops(rounds: Sequence[Round]) -> int:
    """Return the counted hops of the plain runs."""
    return sum(len(item.plain.hop_s) for item in rounds)


def lateness(rounds: Sequence[Round], *, hop_ms: float) -> dict[str, Any]:
    """Return how many hops of paced runs began late, and the largest delay."""
    late_s = np.concatenate([item.plain.late_s for item in rounds])
    return {
        "late_hops": int(np.sum(late_s > timing.LATE_SHARE * hop_ms / 1000)),
        "latest_ms": round(1e3 * float(late_s.max()), 2),
    }


def _mean_us(seconds: NDArray[np.float64]) -> float:
    return round(float(seconds.mean()) * 1e6, 1)
