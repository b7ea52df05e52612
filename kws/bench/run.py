"""Run a measurement: one model, or two in turn, and the state of the machine meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start, host, model_under_test, timing, warnings
from kws.bench import compare as comparison
from kws.bench.model_under_test import ModelUnderTest, Round
from kws.bench.stage_timers import TimerCost, timer_cost
from kws.errors import ConfigError

# The back-to-back runs beside a paced run: enough for a comparison, done in seconds.
BURST_S, BURST_ROUNDS = 20.0, 3
N_STARTS = 5
N_BINS = 24
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """On what to run a model, for how long and how often."""

    audio: Path
    seconds: float
    """Of one run, warm-up included."""

    n_rounds: int
    """Each is a plain run and one with timers."""

    paced: bool = False


def measure(options: Mapping[str, Any], plan: Plan, *, progress: Progress) -> dict[str, Any]:
    """Measure one model: latency and CPU of its hops, then fresh processes.

    Parameters
    ----------
    options : mapping
        Those of `KeywordSpotter.from_model`.
    plan : Plan
    progress : callable
        Called with a text before each step; never while something is timed.

    Returns
    -------
    report : dict
        Plain JSON values.
    """
    watch = _MachineWatch()
    model = ModelUnderTest(options)
    samples = _samples((model,), plan)
    cost = timer_cost()
    watch.begin()
    burst = _burst(model, plan, cost, progress) if plan.paced else {}
    rounds = []
    for number in range(plan.n_rounds):
        progress(_next_run(number, plan.n_rounds, plan))
        rounds.append(model.run_round(samples, cost=cost, paced=plan.paced))
    machine = watch.end()
    own, baseline = cold_start.start_in_turn(
        model.programs(),
        _start_samples((model,), plan),
        n_rounds=N_STARTS,
        progress=lambda: progress("fresh processes"),
    )
    report = {
        **model.facts(),
        **_conditions(model, rounds, plan),
        **model_under_test.figures(rounds),
        **cold_start.start_figures(own, baseline),
        **burst,
    }
    if plan.paced:
        report.update(model_under_test.lateness(rounds, hop_ms=report["hop_ms"]))
        burst_cpu = report["back_to_back"]["cpu_s_per_audio_s"]
        report["paced_over_back_to_back"] = round(report["cpu_s_per_audio_s"] / burst_cpu, 3)
    found = [
        *warnings.of_model(report, machine),
        *warnings.of_figures(report, n_hops=report["hops"], paced=plan.paced),
        *warnings.of_machine(machine, paced=plan.paced),
    ]
    invokes_us = np.concatenate([item.split.invoke_s for item in rounds]) * 1e6
    series = {"whole hop": _hops_us(rounds), "invoke alone": invokes_us}
    return _complete(report, machine, found, series)


def compare(
    options: tuple[Mapping[str, Any], Mapping[str, Any]], plan: Plan, *, progress: Progress
) -> dict[str, Any]:
    """Measure two models in turn, each at its own hop, and return the ratios of A over B.

    Parameters and errors as in `measure`, with the options of A and of B.
    """
    watch = _MachineWatch()
    pair = (ModelUnderTest(options[0]), ModelUnderTest(options[1]))
    samples = _samples(pair, plan)
    if pair[0].plain.sample_rate != pair[1].plain.sample_rate:
        raise ConfigError("--compare: expected two models with the same sample rate")
    cost = timer_cost()
    runs = iter(range(2 * plan.n_rounds))
    watch.begin()
    rounds = comparison.run_in_turn(
        pair,
        samples,
        n_rounds=plan.n_rounds,
        cost=cost,
        paced=plan.paced,
        progress=lambda: progress(_next_run(next(runs), 2 * plan.n_rounds, plan)),
    )
    machine = watch.end()
    starts = cold_start.start_in_turn(
        [program for model in pair for program in model.programs()],
        _start_samples(pair, plan),
        n_rounds=max(N_STARTS, plan.n_rounds),
        progress=lambda: progress("fresh processes"),
    )
    sides = [
        comparison.side_report(pair[side], rounds[side], starts[2 * side], starts[2 * side + 1])
        for side in (0, 1)
    ]
    report = {
        "a": sides[0],
        "b": sides[1],
        "ratios": comparison.ratios(rounds, starts),
        "hop_ms": sides[0]["hop_ms"],
        **_conditions(pair[0], rounds[0], plan),
    }
    found = warnings.of_pair(*sides)
    series = {}
    for name, side, of_side in zip("AB", sides, rounds):
        late = model_under_test.lateness(of_side, hop_ms=side["hop_ms"])
        of_figures = warnings.of_figures({**side, **late}, n_hops=side["hops"], paced=plan.paced)
        found += [f"{name}: {text}" for text in (*warnings.of_model(side, machine), *of_figures)]
        series[f"{name}, {side['label']}: whole hop"] = _hops_us(of_side)
    found += warnings.of_machine(machine, paced=plan.paced)
    return _complete(report, machine, found, series)


def histogram(series: Mapping[str, NDArray[np.float64]]) -> dict[str, list[Any]]:
    """Return ``edges`` of bins, equal on a logarithmic scale, and the counts of each series."""
    # A timer's cost is subtracted, so that a value may be 0.
    positive = {name: np.maximum(0.1, values) for name, values in series.items()}
    everything = np.concatenate(list(positive.values()))
    edges = np.geomspace(everything.min() * 0.999, everything.max() * 1.001, N_BINS + 1)
    counts = {
        name: [int(count) for count in np.histogram(values, edges)[0]]
        for name, values in positive.items()
    }
    return {"edges": [round(float(edge), 3) for edge in edges], **counts}


class _MachineWatch:
    """The machine before, during and after the runs."""

    def __init__(self) -> None:
        # Before models are loaded, which is a load of its own.
        self._facts = {**host.describe(), "before": host.snapshot()}

    def begin(self) -> None:
        self._began = host.ticks()

    def end(self) -> dict[str, Any]:
        during = host.between(self._began, host.ticks())
        return {**self._facts, "during": during, "after": host.snapshot()}


def _samples(models: Sequence[ModelUnderTest], plan: Plan) -> NDArray[np.int16]:
    """Return the audio of one run; refuse too little before anything is measured."""
    least = max(timing.least_s(model.plain) for model in models)
    if plan.seconds < least:
        raise ConfigError(
            f"--seconds {plan.seconds:g}: expected at least {least:.1f} (a window, the hops of "
            "warm-up and one that counts)"
        )
    return timing.looped(plan.audio, plan.seconds, sample_rate=models[0].plain.sample_rate)


def _start_samples(models: Sequence[ModelUnderTest], plan: Plan) -> NDArray[np.int16]:
    """Return the audio of a fresh process: some hops after the first window."""
    longest_ms = max(model.plain.hop_ms for model in models)
    seconds = max(cold_start.AUDIO_S, 4 * longest_ms / 1000)
    return timing.looped(plan.audio, seconds, sample_rate=models[0].plain.sample_rate)


def _burst(
    model: ModelUnderTest, plan: Plan, cost: TimerCost, progress: Progress
) -> dict[str, Any]:
    """Return back-to-back figures, to compare a paced run with."""
    progress("back to back, for comparison")
    seconds = max(BURST_S, timing.least_s(model.plain) + 1)
    samples = timing.looped(plan.audio, seconds, sample_rate=model.plain.sample_rate)
    rounds = [model.run_round(samples, cost=cost) for _ in range(BURST_ROUNDS)]
    figures = model_under_test.figures(rounds)
    kept = ("invoke_us", "hop_us", "cpu_s_per_audio_s")
    return {"back_to_back": {name: figures[name] for name in kept}}


def _conditions(model: ModelUnderTest, rounds: list[Round], plan: Plan) -> dict[str, Any]:
    return {
        "paced": plan.paced,
        "audio": plan.audio.name,
        "audio_s": round(rounds[0].plain.audio_s, 1),
        "rounds": len(rounds),
        "hops": model_under_test.n_hops(rounds),
        "warm_up_hops": timing.n_warm_up_hops(model.plain),
    }


def _next_run(number: int, total: int, plan: Plan) -> str:
    duration = f", {2 * plan.seconds:.0f} s" if plan.paced else ""
    return f"run {number + 1} of {total}{duration}"


def _complete(
    report: dict[str, Any],
    machine: dict[str, Any],
    found: list[str],
    series: dict[str, NDArray[np.float64]],
) -> dict[str, Any]:
    once = list(dict.fromkeys(found))
    return {**report, "histogram_us": histogram(series), "machine": machine, "warnings": once}


def _hops_us(rounds: list[Round]) -> NDArray[np.float64]:
    return np.concatenate([item.plain.hop_s for item in rounds]) * 1e6
