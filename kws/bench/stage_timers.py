"""Clocks in a hop: how its time splits into front end, model, decision and the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import timing as benchmark
from kws.errors import ModelError
from kws.spotter import KeywordSpotter

# Parts that the report shows, in the order of the data.
PARTS = ("front_end", "model", "decision", "overhead")
# Clocked each for itself, shown as the decision.
DECIDING = ("smoothing", "decision", "context_push", "context_weigh")


class StageClock:
    """Stand in for a stage's method and add up the time and number of its calls."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.seconds = 0.0
        self.n_calls = 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call through, and note how long it took."""
        before = time.perf_counter()
        result = self._call(*arguments, **keywords)
        self.seconds += time.perf_counter() - before
        self.n_calls += 1
        return result

    def take(self) -> tuple[float, int]:
        """Return seconds and calls since the last time, and start anew."""
        taken = (self.seconds, self.n_calls)
        self.seconds, self.n_calls = 0.0, 0
        return taken


@dataclass(frozen=True)
class ClockCost:
    """What one `StageClock` adds to a call, in seconds."""

    inside_s: float
    """To the time that it measures itself."""

    outside_s: float
    """To the time of whoever calls."""


@dataclass(frozen=True)
class Split:
    """Seconds per hop of one clocked run, the cost of the clocks taken off."""

    hop_s: NDArray[np.float64]
    invoke_s: NDArray[np.float64]
    parts_s: dict[str, NDArray[np.float64]]
    """`PARTS` of the hop; ``model`` holds the invoke. They add up to `hop_s`."""

    clocks_s: float
    """Cost of all clocks that was taken off a hop, on average."""


class HopClocks:
    """Clocks in place of the methods of a spotter's stages; the spotter is used up by it."""

    def __init__(self, spotter: KeywordSpotter) -> None:
        model = spotter.model
        places = {
            "front_end": (spotter.frontend, "push"),
            "model": (model, "push"),
            "smoothing": (spotter.smoother, "push"),
            "context_push": (spotter.context, "push"),
            "context_weigh": (spotter.context, "weigh"),
            "decision": (spotter.policy, "push"),
            "invoke": (model.opened.interpreter, "invoke"),
        }
        self._clocks: dict[str, StageClock] = {}
        for name, (owner, method) in places.items():
            original = getattr(owner, method)
            self._clocks[name] = StageClock(original)
            setattr(owner, method, self._clocks[name])
            # Somebody may have kept the method itself, to save looking it up at each hop.
            _replace_kept((spotter, model), original, self._clocks[name])
        self._hops: dict[str, list[tuple[float, int]]] = {name: [] for name in places}

    def begin(self) -> None:
        """Forget the warm-up."""
        for name, clock in self._clocks.items():
            clock.take()
            self._hops[name] = []

    def after_hop(self) -> None:
        """Note what each clock counted in this hop."""
        for name, clock in self._clocks.items():
            self._hops[name].append(clock.take())

    def split(self, hop_s: NDArray[np.float64], cost: ClockCost) -> Split:
        """Return the parts of the hops since `begin`, given how long each took in all.

        Raises
        ------
        ModelError
            If a stage was never called: then it does not go through the clocked method.
        """
        table = {name: np.array(hops, dtype=np.float64) for name, hops in self._hops.items()}
        calls = {name: hops[:, 1] for name, hops in table.items()}
        for name, counted in calls.items():
            if not counted.any():
                raise ModelError(f"the {name} of this model is not called where it can be timed")
        seconds = {
            name: np.maximum(0.0, hops[:, 0] - calls[name] * cost.inside_s)
            for name, hops in table.items()
        }
        # The model's clock also ran while the one inside it, of invoke, did its own work.
        seconds["model"] = np.maximum(
            seconds["invoke"], seconds["model"] - calls["invoke"] * cost.outside_s
        )
        clocks_s = sum(calls.values(), np.zeros(len(hop_s))) * cost.outside_s
        decision = sum(
            (seconds[name] for name in DECIDING if name in seconds), np.zeros(len(hop_s))
        )
        staged = seconds["front_end"] + seconds["model"] + decision
        whole = np.maximum(staged, hop_s - clocks_s)
        parts = (seconds["front_end"], seconds["model"], decision, whole - staged)
        return Split(whole, seconds["invoke"], dict(zip(PARTS, parts)), float(clocks_s.mean()))


def clock_cost(*, n_calls: int = 1_000, n_batches: int = 9) -> ClockCost:
    """Return what a clock adds to a call: measured on a call that does nothing.

    Each time is the least of some batches, because everything else that happens can only add.
    It is the cost with warm caches: at the pace of speech it is somewhat more.
    """
    batches = np.array([_time_idle_calls(n_calls) for _ in range(n_batches)])
    loop_s, bare_s, clocked_s, measured_s = (float(least) for least in batches.min(axis=0))
    call_s = bare_s - loop_s
    inside_s = max(0.0, measured_s - call_s) / n_calls
    return ClockCost(inside_s, max(inside_s, (clocked_s - bare_s) / n_calls))


def run_split(
    spotter: KeywordSpotter,
    clocks: HopClocks,
    samples: NDArray[np.int16],
    *,
    cost: ClockCost,
    paced: bool = False,
) -> Split:
    """Run a spotter with clocks in it over audio, and return where the time of its hops goes."""
    timings = benchmark.run(spotter, samples, paced=paced, observer=clocks)
    return clocks.split(timings.hop_s, cost)


class _Idle:
    def push(self, _: Any) -> None:
        """Do nothing, as a stage would."""


def _time_idle_calls(n_calls: int) -> tuple[float, float, float, float]:
    """Return seconds of an empty loop, of one with calls, of one with clocked calls, and of the
    latter what the clock itself measured.
    """
    bare = _Idle().push
    clock = StageClock(bare)
    marks = [time.perf_counter()]
    for _ in range(n_calls):
        pass
    marks.append(time.perf_counter())
    for _ in range(n_calls):
        bare(None)
    marks.append(time.perf_counter())
    for _ in range(n_calls):
        clock(None)
    marks.append(time.perf_counter())
    loop_s, bare_s, clocked_s = (end - start for start, end in zip(marks, marks[1:]))
    return loop_s, bare_s, clocked_s, clock.seconds


def _replace_kept(owners: tuple[Any, ...], original: Any, clock: StageClock) -> None:
    for owner in owners:
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            if isinstance(value, MethodType) and value == original:
                setattr(owner, name, clock)
