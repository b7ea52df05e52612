"""Two subjects in turn: which costs less, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.bench import cold_start as bench_process
from kws.bench import model_under_test as bench_subject
from kws.bench.cold_start import Start
from kws.bench.model_under_test import Round, Subject
from kws.bench.stage_timers import TimerCost
from kws.errors import ConfigError
from kws.inference.interpreter import RUNTIMES
from kws.spotter import MODES

MIN_ROUNDS = 3


def parse_side(text: str, *, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of one side of ``--compare``.

    Parameters
    ----------
    text : str
        ``MODEL``, ``MODE``, ``MODEL:MODE``, each with ``@RUNTIME`` behind it or not; or
        ``@RUNTIME`` alone.
    defaults : mapping
        Options of `KeywordSpotter.from_model` for what is not said.

    Raises
    ------
    ConfigError
        If a mode or runtime is unknown, or nothing is said.
    """
    options = dict(defaults)
    rest, at, runtime = text.rpartition("@")
    if not at or (runtime not in RUNTIMES and Path(text).exists()):
        rest = text
    elif runtime not in RUNTIMES:
        raise ConfigError(
            f"--compare {text}: expected one of {', '.join(RUNTIMES)} after @, got {runtime!r}"
        )
    else:
        options["runtime"] = runtime
    model, colon, mode = rest.rpartition(":")
    if rest in MODES:
        options["mode"] = rest
    elif colon and mode in MODES:
        options["mode"] = mode
        options["name_or_path"] = model or options["name_or_path"]
    elif colon and not Path(rest).exists():
        raise ConfigError(
            f"--compare {text}: expected one of {', '.join(MODES)} after the colon, got {mode!r}"
        )
    elif rest:
        options["name_or_path"] = rest
    if not text:
        raise ConfigError("--compare: expected MODEL, MODE or MODEL:MODE twice, got nothing")
    return options


def run_in_turn(
    pair: tuple[Subject, Subject],
    samples: NDArray[np.int16],
    *,
    n_rounds: int,
    cost: TimerCost,
    paced: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[Round], list[Round]]:
    """Run two subjects in turn, and return the rounds of each.

    Which one goes first changes from round to round: what drifts, such as heat, then falls on
    both alike.
    """
    rounds: tuple[list[Round], list[Round]] = ([], [])
    for number in range(n_rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            progress()
            rounds[side].append(pair[side].run_round(samples, cost=cost, paced=paced))
    return rounds


def start_in_turn(
    pair: tuple[Subject, Subject],
    samples: NDArray[np.int16],
    *,
    n_rounds: int,
    progress: Callable[[], None] = lambda: None,
) -> list[list[Start]]:
    """Start fresh processes in turn: of A, A's floor, B, B's floor."""
    programs = [program for subject in pair for program in subject.programs()]
    return bench_process.start_in_turn(programs, samples, n_rounds=n_rounds, progress=progress)


def side_report(
    subject: Subject, rounds: Sequence[Round], own: Sequence[Start], floor: Sequence[Start]
) -> dict[str, Any]:
    """Return what one side cost."""
    return {
        "label": subject.label(),
        **subject.facts(),
        "hops": bench_subject.n_hops(rounds),
        **bench_subject.figures(rounds),
        **bench_subject.starts(own, floor),
    }


def ratios(
    rounds: tuple[Sequence[Round], Sequence[Round]], starts: Sequence[Sequence[Start]]
) -> dict[str, dict[str, float]]:
    """Return A over B of each figure: the median over the rounds, and how far it went.

    Returns
    -------
    ratios : dict
        For CPU, hop p50, invoke p50, memory and cold start: ``median``, the quartiles ``q1`` and
        ``q3`` that hold the middle half of the rounds, ``min``, ``max``.
    """
    of_rounds: dict[str, Callable[[Round], float]] = {
        "cpu_s_per_audio_s": lambda item: item.plain.cpu_s_per_audio_s,
        "hop_us_p50": lambda item: float(np.median(item.plain.hop_s)),
        "invoke_us_p50": lambda item: float(np.median(item.split.invoke_s)),
    }
    table = {
        name: [figure(a) / figure(b) for a, b in zip(*rounds)] for name, figure in of_rounds.items()
    }
    pairs = list(zip(starts[0], starts[2]))
    table["rss_mb"] = [a.rss_mb / b.rss_mb for a, b in pairs]
    table["cold_start_s"] = [a.cold_s / b.cold_s for a, b in pairs]
    return {name: _spread(values) for name, values in table.items()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    levels = {"median": 50, "q1": 25, "q3": 75, "min": 0, "max": 100}
    found = np.percentile(values, list(levels.values()))
    return {name: round(float(value), 4) for name, value in zip(levels, found)}
