"""Run a measurement: one model, or two in turn, and the state of the machine meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start, host, model_under_test, timing, warnings
from kws.bench.compare import ratios
from kws.bench.model_under_test import ModelUnderTest, Round
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


def measure(
    options: Sequence[Mapping[str, Any]], plan: Plan, *, progress: Progress
) -> dict[str, Any]:
    """Measure one model, or two in turn: latency and CPU of their hops, then fresh processes.

    Parameters
    ----------
    options : sequence of mapping
        One or two sets of options of `KeywordSpotter.from_model`. Each model runs at its own hop.
    plan : Plan
    progress : callable
        Called with a text before each step; never while something is timed.

    Returns
    -------
    report : dict
        Plain JSON values: the figures of the model, or ``a``, ``b`` and the ratios of A over B.
    """
    # The machine first: loading models is a load of its own.
    machine = {**host.describe(), "before": host.snapshot()}
    models = [ModelUnderTest(each) for each in options]
    samples = _samples(models, plan)
    activity = host.Activity()
    burst = _burst(models[0], plan, progress) if plan.paced and len(models) == 1 else {}
    rounds = run_in_turn(models, samples, plan, progress=progress)
    machine.update(during=activity.end(), after=host.snapshot())
    starts = cold_start.start_in_turn(
        [program for model in models for program in model.programs()],
        _start_samples(models, plan),
        n_rounds=N_STARTS if len(models) == 1 else max(N_STARTS, plan.n_rounds),
        progress=lambda: progress("fresh processes"),
    )
    sides = []
    for number, (model, of_model) in enumerate(zip(models, rounds)):
        side = {**model.facts(), **model_under_test.figures(of_model)}
        side.update(cold_start.start_figures(*starts[2 * number : 2 * number + 2]))
        if plan.paced:
            side.update(model_under_test.lateness(of_model, hop_ms=side["hop_ms"]))
        sides.append(side)
    report: dict[str, Any] = {
        "hop_ms": sides[0]["hop_ms"],
        "hops": sides[0]["hops"],
        "paced": plan.paced,
        "audio": plan.audio.name,
        "audio_s": round(rounds[0][0].plain.audio_s, 1),
        "rounds": plan.n_rounds,
        "warm_up_hops": timing.n_warm_up_hops(models[0].plain),
    }
    if len(sides) == 1:
        report = {**sides[0], **report, **burst}
        if plan.paced:
            burst_cpu = report["back_to_back"]["cpu_s_per_audio_s"]
            report["paced_over_back_to_back"] = round(report["cpu_s_per_audio_s"] / burst_cpu, 3)
    else:
        report.update(a=sides[0], b=sides[1], ratios=ratios(rounds, starts))
    report["histogram_us"] = histogram(_series(sides, rounds))
    return {**report, "machine": machine, "warnings": _warnings(sides, machine, paced=plan.paced)}


def run_in_turn(
    models: Sequence[ModelUnderTest],
    samples: NDArray[np.int16],
    plan: Plan,
    *,
    progress: Progress,
) -> list[list[Round]]:
    """Run the models in turn, and return the rounds of each.

    The order alternates from round to round, so that drift, such as heat, affects both.
    """
    rounds: list[list[Round]] = [[] for _ in models]
    order = range(len(models))
    duration = f", {2 * plan.seconds:.0f} s" if plan.paced else ""
    for number in range(plan.n_rounds):
        for at, side in enumerate(order if number % 2 == 0 else reversed(order)):
            run = number * len(models) + at + 1
            progress(f"run {run} of {plan.n_rounds * len(models)}{duration}")
            rounds[side].append(models[side].run_round(samples, paced=plan.paced))
    return rounds


def histogram(series: Mapping[str, NDArray[np.float64]]) -> dict[str, list[Any]]:
    """Return ``edges`` of bins, equal on a logarithmic scale, and the counts of each series."""
    everything = np.concatenate(list(series.values()))
    edges = np.geomspace(everything.min() * 0.999, everything.max() * 1.001, N_BINS + 1)
    counts = {name: np.histogram(values, edges)[0].tolist() for name, values in series.items()}
    return {"edges": edges.round(3).tolist(), **counts}


def _series(
    sides: Sequence[Mapping[str, Any]], rounds: Sequence[Sequence[Round]]
) -> dict[str, NDArray[np.float64]]:
    """Return what the histogram shows, in microseconds."""
    hops = [1e6 * model_under_test.hop_s(of_model) for of_model in rounds]
    if len(sides) == 2:
        names = [f"{name}, {side['label']}: whole hop" for name, side in zip("AB", sides)]
        return dict(zip(names, hops))
    invokes = np.concatenate([each.stage_s["invoke"] for each in rounds[0]])
    return {"whole hop": hops[0], "invoke alone": 1e6 * invokes}


def _warnings(
    sides: Sequence[Mapping[str, Any]], machine: Mapping[str, Any], *, paced: bool
) -> list[str]:
    found = warnings.of_pair(*sides) if len(sides) == 2 else []
    for name, side in zip(("A: ", "B: ") if len(sides) == 2 else ("",), sides):
        texts = warnings.of_model(side, machine) + warnings.of_figures(side)
        found += [f"{name}{text}" for text in texts]
    return found + warnings.of_machine(machine, paced=paced)


def _samples(models: Sequence[ModelUnderTest], plan: Plan) -> NDArray[np.int16]:
    """Return the audio of one run; refuse too little before anything is measured."""
    if len({model.plain.sample_rate for model in models}) > 1:
        raise ConfigError("--compare: expected two models with the same sample rate")
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


def _burst(model: ModelUnderTest, plan: Plan, progress: Progress) -> dict[str, Any]:
    """Return back-to-back figures, to compare a paced run with."""
    progress("back to back, for comparison")
    seconds = max(BURST_S, timing.least_s(model.plain) + 1)
    samples = timing.looped(plan.audio, seconds, sample_rate=model.plain.sample_rate)
    figures = model_under_test.figures([model.run_round(samples) for _ in range(BURST_ROUNDS)])
    kept = ("invoke_us", "hop_us", "cpu_s_per_audio_s")
    return {"back_to_back": {name: figures[name] for name in kept}}
