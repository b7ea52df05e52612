"""Carry out a measurement: one subject, or two in turn, and the state of the machine around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start as bench_process
from kws.bench import compare as bench_compare
from kws.bench import host as machine
from kws.bench import host_state as machine_state
from kws.bench import model_under_test as bench_subject
from kws.bench import timing as benchmark
from kws.bench import warnings as bench_doubts
from kws.bench.histogram import Histogram, histogram
from kws.bench.model_under_test import Round, Subject
from kws.bench.stage_timers import TimerCost, timer_cost
from kws.errors import ConfigError

# The back-to-back runs beside paced ones: enough to set against them, and done in seconds.
BESIDE_PACED_S, BESIDE_PACED_ROUNDS = 20.0, 3
N_STARTS = 5
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to run a subject on, how long and how often."""

    audio: Path
    seconds: float
    """Of one run, warm-up included."""

    n_rounds: int
    """Each is a plain run and one with clocks."""

    paced: bool = False


@dataclass(frozen=True)
class Measured:
    """The report as plain JSON values, and its picture's data."""

    report: dict[str, Any]
    drawn: Histogram


def measure(options: Mapping[str, Any], plan: Plan, *, progress: Progress) -> Measured:
    """Measure one subject: latency and CPU of its hops, then fresh processes.

    Parameters
    ----------
    options : mapping
        Those of `KeywordSpotter.from_model`.
    plan : Plan
        On what, how long, how often.
    progress : callable
        Is told what comes next, before it begins; never while something is timed.

    Raises
    ------
    KwsError
        If the model, the audio or the plan does not fit.
    """
    around = _Machine()
    subject = Subject(options)
    samples = _samples((subject,), plan)
    cost = timer_cost()
    around.begin()
    beside = _beside_paced(subject, plan, cost, progress) if plan.paced else {}
    rounds = []
    for number in range(plan.n_rounds):
        progress(_next_run(number, plan.n_rounds, plan))
        rounds.append(subject.run_round(samples, cost=cost, paced=plan.paced))
    facts = around.end()
    own, floor = bench_process.start_in_turn(
        subject.programs(),
        _heard((subject,), plan),
        n_rounds=N_STARTS,
        progress=lambda: progress("fresh processes"),
    )
    figures = bench_subject.figures(rounds)
    report = {
        **subject.facts(),
        **_what_ran(subject, rounds, plan),
        **figures,
        **bench_subject.starts(own, floor),
        **beside,
    }
    if plan.paced:
        report.update(bench_subject.lateness(rounds, hop_ms=report["hop_ms"]))
        burst = beside["back_to_back"]["cpu_s_per_audio_s"]
        report["paced_over_back_to_back"] = round(figures["cpu_s_per_audio_s"] / burst, 3)
    doubts = [
        *bench_doubts.of_subject(report, facts),
        *bench_doubts.of_figures(report, n_hops=report["hops"], paced=plan.paced),
        *bench_doubts.of_machine(facts, paced=plan.paced),
    ]
    series = {"whole hop": _hops_us(rounds), "invoke alone": _invokes_us(rounds)}
    return _measured(report, facts, doubts, series)


def compare(
    options: tuple[Mapping[str, Any], Mapping[str, Any]], plan: Plan, *, progress: Progress
) -> Measured:
    """Measure two subjects in turn, each at its own hop, and give the ratios of A over B.

    Parameters and errors as in `measure`, with the options of A and of B.
    """
    around = _Machine()
    pair = (Subject(options[0]), Subject(options[1]))
    samples = _samples(pair, plan)
    if pair[0].plain.sample_rate != pair[1].plain.sample_rate:
        raise ConfigError("--compare: expected two models at the same sample rate")
    cost = timer_cost()
    todo = iter(range(2 * plan.n_rounds))
    around.begin()
    rounds = bench_compare.run_in_turn(
        pair,
        samples,
        n_rounds=plan.n_rounds,
        cost=cost,
        paced=plan.paced,
        progress=lambda: progress(_next_run(next(todo), 2 * plan.n_rounds, plan)),
    )
    facts = around.end()
    starts = bench_compare.start_in_turn(
        pair,
        _heard(pair, plan),
        n_rounds=max(N_STARTS, plan.n_rounds),
        progress=lambda: progress("fresh processes"),
    )
    sides = [
        bench_compare.side_report(pair[side], rounds[side], starts[2 * side], starts[2 * side + 1])
        for side in (0, 1)
    ]
    report = {
        "a": sides[0],
        "b": sides[1],
        "ratios": bench_compare.ratios(rounds, starts),
        "hop_ms": sides[0]["hop_ms"],
        **_what_ran(pair[0], rounds[0], plan),
    }
    doubts = bench_doubts.of_pair(*sides)
    for name, side, of_side in zip("AB", sides, rounds):
        late = bench_subject.lateness(of_side, hop_ms=side["hop_ms"])
        found = bench_doubts.of_figures({**side, **late}, n_hops=side["hops"], paced=plan.paced)
        found = [*bench_doubts.of_subject(side, facts), *found]
        doubts += [f"{name}: {doubt}" for doubt in found]
    doubts += bench_doubts.of_machine(facts, paced=plan.paced)
    series = {
        f"{name}, {side['label']}: whole hop": _hops_us(of_side)
        for name, side, of_side in zip("AB", sides, rounds)
    }
    return _measured(report, facts, doubts, series)


class _Machine:
    """The machine before, during and after the runs."""

    def __init__(self) -> None:
        # Before anything is loaded, which is a load of its own.
        self._facts = {**machine.describe(), "before": machine_state.snapshot()}

    def begin(self) -> None:
        self._began = machine_state.ticks()

    def end(self) -> dict[str, Any]:
        during = machine_state.between(self._began, machine_state.ticks())
        return {**self._facts, "during": during, "after": machine_state.snapshot()}


def _samples(subjects: Sequence[Subject], plan: Plan) -> NDArray[np.int16]:
    """Return the audio of one run; refuse too little before anything is measured."""
    least = max(benchmark.least_s(subject.plain) for subject in subjects)
    if plan.seconds < least:
        raise ConfigError(
            f"--seconds {plan.seconds:g}: expected at least {least:.1f} (a window, the hops of "
            "warm-up and one that counts)"
        )
    return benchmark.looped(plan.audio, plan.seconds, sample_rate=subjects[0].plain.sample_rate)


def _heard(subjects: Sequence[Subject], plan: Plan) -> NDArray[np.int16]:
    """Return the audio of a fresh process: some hops after the first window."""
    longest_ms = max(subject.plain.hop_ms for subject in subjects)
    seconds = max(bench_process.HEARD_S, 4 * longest_ms / 1000)
    return benchmark.looped(plan.audio, seconds, sample_rate=subjects[0].plain.sample_rate)


def _beside_paced(
    subject: Subject, plan: Plan, cost: TimerCost, progress: Progress
) -> dict[str, Any]:
    """Return the back-to-back figures that paced ones are set against."""
    progress("back to back, for comparison")
    seconds = max(BESIDE_PACED_S, benchmark.least_s(subject.plain) + 1)
    samples = benchmark.looped(plan.audio, seconds, sample_rate=subject.plain.sample_rate)
    rounds = [subject.run_round(samples, cost=cost) for _ in range(BESIDE_PACED_ROUNDS)]
    figures = bench_subject.figures(rounds)
    kept = ("invoke_us", "hop_us", "cpu_s_per_audio_s")
    return {"back_to_back": {name: figures[name] for name in kept}}


def _what_ran(subject: Subject, rounds: list[Round], plan: Plan) -> dict[str, Any]:
    return {
        "paced": plan.paced,
        "audio": plan.audio.name,
        "audio_s": round(rounds[0].plain.audio_s, 1),
        "rounds": len(rounds),
        "hops": bench_subject.n_hops(rounds),
        "warm_up_hops": benchmark.n_warm_up_hops(subject.plain),
    }


def _next_run(number: int, total: int, plan: Plan) -> str:
    lasts = f", {2 * plan.seconds:.0f} s" if plan.paced else ""
    return f"run {number + 1} of {total}{lasts}"


def _measured(
    report: dict[str, Any],
    facts: dict[str, Any],
    doubts: list[str],
    series: dict[str, NDArray[np.float64]],
) -> Measured:
    drawn = histogram(series)
    edges = [round(edge, 3) for edge in drawn.edges]
    counts = {name: list(values) for name, values in drawn.counts.items()}
    table = {
        **report,
        "histogram_us": {"edges": edges, **counts},
        "machine": facts,
        "doubts": bench_doubts.unique(doubts),
    }
    return Measured(table, drawn)


def _hops_us(rounds: list[Round]) -> NDArray[np.float64]:
    return np.concatenate([item.plain.hop_s for item in rounds]) * 1e6


def _invokes_us(rounds: list[Round]) -> NDArray[np.float64]:
    # The cost of the clock is taken off: never so much that a logarithm fails.
    return np.maximum(0.1, np.concatenate([item.split.invoke_s for item in rounds]) * 1e6)
