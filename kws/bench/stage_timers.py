"""How the time of a hop splits into front end, model, decision and the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kws.bench import timing
from kws.errors import ModelError
from kws.spotter import STAGES, Call, KeywordSpotter

# Parts that the report shows, in the order of the data.
PARTS = ("front_end", "model", "decision", "overhead")


@dataclass(frozen=True)
class TimerCost:
    """What one `StageTimer` adds to a call, in seconds."""

    inside_s: float
    """To the time that it measures."""

    outside_s: float
    """To the time of the caller."""


@dataclass(frozen=True)
class Split:
    """Seconds per hop of one timed run, with the cost of the timers subtracted."""

    hop_s: NDArray[np.float64]
    invoke_s: NDArray[np.float64]
    parts_s: dict[str, NDArray[np.float64]]
    """`PARTS` of the hop; ``model`` includes the invoke. They add up to `hop_s`."""

    timers_s: float
    """Mean cost of all timers that was subtracted from a hop."""


class StageTimer:
    """Call a function, and add up the time and number of its calls."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.seconds = 0.0
        self.n_calls = 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function, and note how long it took."""
        before = time.perf_counter()
        result = self._call(*arguments, **keywords)
        self.seconds += time.perf_counter() - before
        self.n_calls += 1
        return result

    def take(self) -> tuple[float, int]:
        """Return seconds and calls since the last time, and set both to 0."""
        taken = (self.seconds, self.n_calls)
        self.seconds, self.n_calls = 0.0, 0
        return taken


class HopTimers:
    """Timers for the stages of one spotter (`kws.spotter.StageTimers`)."""

    def __init__(self) -> None:
        self._timers: dict[str, StageTimer] = {}
        self._hops: dict[str, list[tuple[float, int]]] = {stage: [] for stage in STAGES}

    def around(self, stage: str, call: Call) -> Call:
        """Return a timed function in place of `call`."""
        self._timers[stage] = StageTimer(call)
        return cast(Call, self._timers[stage])

    def begin(self) -> None:
        """Forget the warm-up."""
        for stage, timer in self._timers.items():
            timer.take()
            self._hops[stage] = []

    def after_hop(self) -> None:
        """Note what each timer counted in this hop."""
        for stage, timer in self._timers.items():
            self._hops[stage].append(timer.take())

    def split(self, hop_s: NDArray[np.float64], cost: TimerCost) -> Split:
        """Return the parts of the hops since `begin`, given the whole time of each.

        Raises
        ------
        ModelError
            If a stage was never called.
        """
        table = {
            stage: np.array(hops, dtype=np.float64).reshape(-1, 2)
            for stage, hops in self._hops.items()
        }
        calls = {stage: hops[:, 1] for stage, hops in table.items()}
        for stage, counted in calls.items():
            if not counted.any():
                raise ModelError(f"the {stage} of this model is not called where it can be timed")
        seconds = {
            stage: np.maximum(0.0, hops[:, 0] - calls[stage] * cost.inside_s)
            for stage, hops in table.items()
        }
        # The timer of the model also measured what the timer of the invoke cost.
        seconds["model"] = np.maximum(
            seconds["invoke"], seconds["model"] - calls["invoke"] * cost.outside_s
        )
        timers_s = sum(calls.values(), np.zeros(len(hop_s))) * cost.outside_s
        decision = seconds["smoothing"] + seconds["decision"]
        staged = seconds["front_end"] + seconds["model"] + decision
        whole = np.maximum(staged, hop_s - timers_s)
        parts = (seconds["front_end"], seconds["model"], decision, whole - staged)
        return Split(whole, seconds["invoke"], dict(zip(PARTS, parts)), float(timers_s.mean()))


def timer_cost(*, n_calls: int = 1_000, n_batches: int = 9) -> TimerCost:
    """Return what a timer adds to a call, measured on a call that does nothing.

    Each time is the minimum over some batches, because all disturbances only add. It is the cost
    with warm caches; in real time it is somewhat higher.
    """
    batches = np.array([_time_idle_calls(n_calls) for _ in range(n_batches)])
    loop_s, bare_s, timed_s, measured_s = (float(least) for least in batches.min(axis=0))
    call_s = bare_s - loop_s
    inside_s = max(0.0, measured_s - call_s) / n_calls
    return TimerCost(inside_s, max(inside_s, (timed_s - bare_s) / n_calls))


def run_split(
    spotter: KeywordSpotter,
    timers: HopTimers,
    samples: NDArray[np.int16],
    *,
    cost: TimerCost,
    paced: bool = False,
) -> Split:
    """Run a spotter that was made with these timers, and return how its hops split."""
    timings = timing.run(spotter, samples, paced=paced, observer=timers)
    return timers.split(timings.hop_s, cost)


class _Idle:
    def push(self, _: Any) -> None:
        """Do nothing, as a stage would."""


def _time_idle_calls(n_calls: int) -> tuple[float, float, float, float]:
    """Return seconds of an empty loop, of calls, of timed calls, and what their timer measured."""
    bare = _Idle().push
    timer = StageTimer(bare)
    marks = [time.perf_counter()]
    for _ in range(n_calls):
        pass
    marks.append(time.perf_counter())
    for _ in range(n_calls):
        bare(None)
    marks.append(time.perf_counter())
    for _ in range(n_calls):
        timer(None)
    marks.append(time.perf_counter())
    loop_s, bare_s, timed_s = (end - start for start, end in zip(marks, marks[1:]))
    return loop_s, bare_s, timed_s, timer.seconds
