"""Two models side by side: which one costs less, and how certain that is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kws.bench.cold_start import Start
from kws.bench.model_under_test import Round
from kws.errors import ConfigError
from kws.inference.interpreter import RUNTIMES
from kws.inference.select import MODES

MIN_ROUNDS = 3


def parse_side(text: str, *, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of one side of ``--compare``.

    Parameters
    ----------
    text : str
        ``MODEL``, ``MODE`` or ``MODEL:MODE``, optionally with ``@RUNTIME``; or ``@RUNTIME``.
    defaults : mapping
        Options of `KeywordSpotter.from_model` for the rest.

    Raises
    ------
    ConfigError
        If a mode or runtime is unknown, or the text is empty.
    """
    if not text:
        raise ConfigError("--compare: expected MODEL, MODE or MODEL:MODE twice, got nothing")
    if text not in MODES and Path(text).exists():
        return {**defaults, "name_or_path": text}
    found = re.fullmatch(r"(.*?)(?::(\w*))?(?:@([\w-]*))?", text, re.DOTALL)
    assert found is not None
    model, mode, runtime = found.groups()
    if model in MODES and mode is None:
        model, mode = "", model
    if mode is not None and mode not in MODES:
        raise ConfigError(
            f"--compare {text}: expected one of {', '.join(MODES)} after the colon, got {mode!r}"
        )
    if runtime is not None and runtime not in RUNTIMES:
        raise ConfigError(
            f"--compare {text}: expected one of {', '.join(RUNTIMES)} after @, got {runtime!r}"
        )
    chosen = {"name_or_path": model, "mode": mode, "runtime": runtime}
    return {**defaults, **{name: value for name, value in chosen.items() if value}}


def ratios(
    rounds: Sequence[Sequence[Round]], starts: Sequence[Sequence[Start]]
) -> dict[str, dict[str, float]]:
    """Return A over B of each figure: the median over the rounds, and its spread.

    Returns
    -------
    ratios : dict
        Of CPU, hop p50, invoke p50, memory and cold start: ``median``, the quartiles ``q1`` and
        ``q3``, ``min``, ``max``.
    """
    of_rounds: dict[str, Callable[[Round], float]] = {
        "cpu_s_per_audio_s": lambda item: item.plain.cpu_s_per_audio_s,
        "hop_us_p50": lambda item: float(np.median(item.plain.hop_s)),
        "invoke_us_p50": lambda item: float(np.median(item.stage_s["invoke"])),
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
