"""Several training runs side by side: their learning curves in one picture, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model, n_macs, n_parameters
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit import trainer as fit
from training.plotting import new_figure, save_figure

COLUMNS = {
    "run": "run",
    "model": "network",
    "front_end": "front end",
    "epochs": "epochs",
    "best": "best validation accuracy",
    "last": "last",
    "parameters": "parameters",
    "multiplications": "multiplications",
    "minutes": "minutes",
}


@dataclass(frozen=True)
class RunCurves:
    """What a run logged, and what its network costs."""

    name: str
    recipe: Recipe
    history: Sequence[Mapping[str, float]]
    parameters: int
    multiplications: int
    minutes: float | None
    """Time that training took, pauses between resumed parts left out; None without a log."""


def read_runs(folders: Sequence[Path]) -> list[RunCurves]:
    """Return runs by their folders; two of the same name are told apart by their paths.

    Raises
    ------
    ConfigError
        If a folder holds no run, or one without a finished epoch.
    """
    names = [folder.resolve().name for folder in folders]
    return [
        _read_run(folder, name if names.count(name) == 1 else str(folder))
        for folder, name in zip(folders, names)
    ]


def _read_run(folder: Path, name: str) -> RunCurves:
    run = RunFolder(folder)
    recipe = run.read_recipe()
    history = fit.read_history(run.history)
    if not history:
        raise ConfigError(f"{run.history}: expected a finished epoch, found none; train it first")
    model = build_model(recipe)
    return RunCurves(
        name=name,
        recipe=recipe,
        history=history,
        parameters=n_parameters(model),
        multiplications=n_macs(model),
        minutes=_minutes(run.tensorboard / "train"),
    )


def _minutes(logs: Path) -> float | None:
    """Return the time from the first to the last entry of each log, all together."""
    spans = []
    for path in sorted(logs.glob("events.*")):
        times = [event.wall_time for event in EventFileLoader(str(path)).Load()]
        if times:
            spans.append(max(times) - min(times))
    return sum(spans) / 60 if spans else None


def row(run: RunCurves) -> dict[str, Any]:
    """Return the figures of one run, for a table or JSON."""
    accuracies = [epoch["val_accuracy"] for epoch in run.history]
    best = max(accuracies)
    return {
        "run": run.name,
        "model": run.recipe.model.name,
        "front_end": run.recipe.frontend.kind,
        "epochs": len(accuracies),
        "best": best,
        "best_epoch": accuracies.index(best) + 1,
        "last": accuracies[-1],
        "parameters": run.parameters,
        "multiplications": run.multiplications,
        "minutes": None if run.minutes is None else round(run.minutes, 1),
    }


def markdown(runs: Sequence[RunCurves]) -> str:
    """Return a Markdown table of the runs."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", f"|{'---|' * len(COLUMNS)}"]
    for run in runs:
        figures = row(run)
        cells = {
            **figures,
            "best": f"{100 * figures['best']:.2f} % (epoch {figures['best_epoch']})",
            "last": f"{100 * figures['last']:.2f} %",
            "parameters": f"{figures['parameters']:,}",
            "multiplications": f"{figures['multiplications'] / 1e6:.2f} M",
            "minutes": "not logged" if figures["minutes"] is None else figures["minutes"],
        }
        lines.append(f"| {' | '.join(str(cells[key]) for key in COLUMNS)} |")
    return "\n".join(lines)


def draw_runs(runs: Sequence[RunCurves], path: Path) -> None:
    """Write loss and accuracy of all runs against epoch: one colour a run."""
    figure = new_figure(11, 4.6)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for index, run in enumerate(runs):
            epochs = [epoch["epoch"] + 1 for epoch in run.history]
            colour = f"C{index}"
            axes.plot(epochs, [epoch[f"val_{metric}"] for epoch in run.history], colour)
            axes.plot(epochs, [epoch[metric] for epoch in run.history], colour, ls=":", lw=1)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.set_title("validation, and training on augmented clips (dotted)", fontsize=9)
        axes.grid(alpha=0.3)
    axes.legend(axes.lines[::2], [run.name for run in runs])
    save_figure(figure, path)
