"""Ablations: the same recipe with one setting or another changed, each with several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.fit import trainer as fit

COLUMNS = ("case", "runs", "validation accuracy", "lowest to highest", "against the first")


@dataclass(frozen=True)
class Case:
    """A name and what it changes in the recipe."""

    name: str
    overrides: Mapping[str, Any]


def parse_case(words: Sequence[str]) -> Case:
    """Return a case from ``NAME [SECTION.KEY=VALUE ...]``.

    Raises
    ------
    ConfigError
        If the name cannot be that of a folder, or a change has no value.
    """
    name, *changes = words
    if "=" in name or "/" in name or not name.strip():
        raise ConfigError(f"--case: expected a name, then SECTION.KEY=VALUE, got {name!r}")
    return Case(name, dict(recipes.parse_override(text) for text in changes))


def run_case(
    recipe_name: str,
    case: Case,
    seed: int,
    out: Path,
    *,
    overrides: Mapping[str, Any],
) -> float:
    """Train one case with one seed into ``out/NAME-SEED`` and return its validation accuracy.

    A run that is there is gone on with, a finished one is only read. The accuracy is that of the
    weights that the recipe keeps: of the best epoch, or of the last.
    """
    changes = {**overrides, **case.overrides, "seed": seed}
    recipe = recipes.load(recipe_name, overrides=changes)
    run: RunFolder = fit.fit(recipe, out / f"{case.name}-{seed}", resume=True)
    accuracies = [row["val_accuracy"] for row in fit.read_history(run.history)]
    return accuracies[-1] if recipe.fit.keep == "last" else max(accuracies)


def rows(accuracies: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return mean, extremes and the difference of means to the first case, a row a case."""
    means = {name: statistics.fmean(values) for name, values in accuracies.items()}
    first = next(iter(means.values()))
    return [
        {
            "case": name,
            "runs": len(values),
            "mean": means[name],
            "lowest": min(values),
            "highest": max(values),
            "difference": means[name] - first,
        }
        for name, values in accuracies.items()
    ]


def markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a Markdown table, in per cent and points."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for number, row in enumerate(table):
        against = f"{100 * row['difference']:+.1f}" if number else "-"
        lines.append(
            f"| {row['case']} | {row['runs']} | {100 * row['mean']:.1f} % "
            f"| {100 * row['lowest']:.1f} to {100 * row['highest']:.1f} % | {against} |"
        )
    return "\n".join(lines)
