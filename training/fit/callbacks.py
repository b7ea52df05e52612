"""What happens after each epoch: state, best weights, logs, curves, early stop."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras

from kws.files import atomic_path
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.evaluation.plots import draw_curves


def make_callbacks(recipe: Recipe, run: RunFolder) -> list[keras.callbacks.Callback]:
    """Return the callbacks in the order they must run.

    The state is saved before the averaged weights are swapped in, the best weights after.
    """
    best = max((row["val_accuracy"] for row in read_history(run.history)), default=None)
    return [
        SaveState(run),
        *averaging(recipe),
        keras.callbacks.ModelCheckpoint(
            run.best,
            monitor="val_accuracy",
            mode="max",
            save_best_only=recipe.fit.keep == "best",
            save_weights_only=True,
            initial_value_threshold=best,
        ),
        keras.callbacks.CSVLogger(run.history, append=run.history.is_file()),
        keras.callbacks.TensorBoard(run.tensorboard),
        ReadLog(recipe, run),
    ]


def averaging(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Return the callback that validates and keeps averaged weights, if the recipe averages."""
    if recipe.fit.ema_momentum > 0:
        return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    return []


class SaveState(keras.callbacks.Callback):
    """Write model and optimizer after each epoch, for --resume."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save model and optimizer."""
        with atomic_path(self._run.state) as path:
            self.model.save(path)


class ReadLog(keras.callbacks.Callback):
    """Draw the learning curves and stop early, both by the log that is on disk."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        super().__init__()
        self._recipe, self._run = recipe, run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the log, to which this epoch was appended just now."""
        draw_curves(read_history(self._run.history), self._run.curves)
        if stopped_early(self._recipe, self._run):
            self.model.stop_training = True


def stopped_early(recipe: Recipe, run: RunFolder) -> bool:
    """Whether validation accuracy has not improved for as many epochs as the recipe waits.

    The log decides, so a resumed run stops where an uninterrupted one would, and stays stopped.
    """
    accuracies = [row["val_accuracy"] for row in read_history(run.history)]
    patience = recipe.fit.early_stop_epochs
    if not patience or not accuracies:
        return False
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of the log; an empty list if there is no log yet."""
    if not path.is_file():
        return []
    with open(path, newline="") as handle:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]
