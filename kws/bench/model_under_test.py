"""One model in one form, measured in rounds, and the figures of all rounds together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start, timing
from kws.bench.timing import HopTimers, Timings, percentiles_us
from kws.spotter import KeywordSpotter


@dataclass(frozen=True)
class Round:
    """A plain run, and the stages of a run with timers on the same audio."""

    plain: Timings
    stage_s: Mapping[str, NDArray[np.float64]]
    """Seconds of each stage in each hop."""


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
        manifest = self.plain.manifest
        stream = manifest.stream if self.plain.model.mode == "stream" else None
        self._form = stream or manifest.window
        self.file = manifest.path.parent / self._form.file

    def facts(self) -> dict[str, Any]:
        """Return model, form and interpreter."""
        model, opened = self.plain.model, self.plain.model.opened
        return {
            # The model as the user named it: two manifests may have the same name.
            "label": f"{self.options['name_or_path']}:{model.mode}@{opened.runtime}",
            "model": self.plain.manifest.name,
            "sha256": self._form.sha256[:16],
            "mode": model.mode,
            "runtime": opened.runtime,
            "runtime_version": opened.runtime_version,
            "kernels": opened.kernels,
            "threads": opened.n_threads,
            "hop_ms": self.plain.hop_ms,
        }

    def run_round(self, samples: NDArray[np.int16], *, paced: bool = False) -> Round:
        """Run over the audio twice: for the whole hop, then for its stages."""
        plain = timing.run(self.plain, samples, paced=paced)
        timing.run(self._timed, samples, paced=paced, timers=self._timers)
        return Round(plain, self._timers.stage_s())

    def programs(self) -> list[cold_start.Program]:
        """Return the fresh processes to start: the spotter's and its baseline's."""
        return [
            cold_start.spotter_program(self.options),
            cold_start.baseline_program(self.file, self.plain.model.opened),
        ]


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of all rounds together.

    ``hop_us`` is of the plain runs. Its parts are means of the timed runs, and ``overhead`` is
    the rest of the mean hop. ``cpu_s_per_audio_s`` is the median of the rounds.
    """
    stage_s = {
        stage: np.concatenate([each.stage_s[stage] for each in rounds])
        for stage in rounds[0].stage_s
    }
    hop = percentiles_us(hop_s(rounds))
    parts = {
        "front_end": _mean_us(stage_s["front_end"]),
        "model": _mean_us(stage_s["model"]),
        "decision": _mean_us(stage_s["smoothing"] + stage_s["decision"]),
    }
    overhead = round(max(0.0, hop["mean"] - sum(parts.values())), 1)
    cpu = float(np.median([each.plain.cpu_s_per_audio_s for each in rounds]))
    return {
        "hops": len(hop_s(rounds)),
        "invoke_us": percentiles_us(stage_s["invoke"]),
        "hop_us": {**hop, **parts, "overhead": overhead},
        "p50_by_part_us": timing.p50_by_part_us([each.plain.hop_s for each in rounds]),
        "cpu_s_per_audio_s": round(cpu, 6),
    }


def hop_s(rounds: Sequence[Round]) -> NDArray[np.float64]:
    """Return the times of all hops of the plain runs."""
    return np.concatenate([each.plain.hop_s for each in rounds])


def lateness(rounds: Sequence[Round], *, hop_ms: float) -> dict[str, Any]:
    """Return how many hops of paced runs began late, and the largest delay."""
    late_s = np.concatenate([each.plain.late_s for each in rounds])
    return {
        "late_hops": int(np.sum(late_s > timing.LATE_SHARE * hop_ms / 1000)),
        "latest_ms": round(1e3 * float(late_s.max()), 2),
    }


def _mean_us(seconds: NDArray[np.float64]) -> float:
    return round(float(seconds.mean()) * 1e6, 1)
