"""Train a network by a recipe: resumable, logged, best weights by validation accuracy."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kws.files import atomic_path
from training.architectures.recipe_model import build_model, n_outputs
from training.batches.prefetch import BatchPrefetcher
from training.batches.task import Task, open_task
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.evaluation.clip_report import SCORES, write_scores
from training.evaluation.plots import draw_curves
from training.fit.initial_weights import freeze, load_first_weights
from training.fit.malloc_tuning import keep_freed_memory
from training.fit.optimizer import compile_model, warn_of_long_average

logger = logging.getLogger(__name__)
FloatArray = NDArray[np.float32]


def fit(recipe: Recipe, out: Path, *, resume: bool = False, verbose: int = 2) -> RunFolder:
    """Train by `recipe` into the folder `out` and return it.

    Parameters
    ----------
    recipe : Recipe
        Data, model and settings; its seed fixes every draw.
    out : Path
        Folder for the run; made if it is not there.
    resume : bool
        Go on after the last finished epoch of the run in `out`.
    verbose : int
        Keras' own: 0 silent, 1 progress bar, 2 a line an epoch.

    Raises
    ------
    ConfigError
        If `out` holds another run, or data are missing.
    """
    task = open_task(recipe, measure=True)
    recipe = task.recipe
    run = RunFolder(out)
    run.check(recipe, resume=resume)
    keras.utils.set_random_seed(recipe.seed)
    keep_freed_memory()
    model, first_epoch = _model(recipe, run)
    if first_epoch >= recipe.fit.epochs or stopped_early(recipe, run):
        logger.info("%s: all %d epochs are done", out, first_epoch)
        _score(task, run)
        return run
    logger.info("%s: %d parameters", recipe.model.name, model.count_params())
    warn_of_long_average(recipe)
    with BatchPrefetcher(task) as feeder:
        run.start(recipe)
        model.fit(
            feeder.batches(first_epoch),
            steps_per_epoch=recipe.fit.steps_per_epoch,
            epochs=recipe.fit.epochs,
            initial_epoch=first_epoch,
            validation_data=validation_arrays(task),
            validation_batch_size=256,
            callbacks=_callbacks(recipe, run),
            shuffle=False,
            verbose=verbose,
        )
    _score(task, run)
    return run


def _score(task: Task, run: RunFolder) -> None:
    """Score the best weights on the task's splits, if that is not done yet."""
    if not task.scored_splits or (run.path / SCORES).is_file():
        return
    model = build_model(task.recipe)
    model.load_weights(run.best)
    write_scores(
        task,
        run.path,
        lambda clips: model.predict(task.features(clips), batch_size=64, verbose=0)[
            :, : len(task.labels)
        ],
    )


def validation_arrays(task: Task) -> tuple[FloatArray, FloatArray]:
    """Return the network's input and its targets for the validation clips.

    The targets are as long as the network's output; features to distil are unknown here, and 0.
    """
    clips = task.clips("validation")
    targets = task.targets(clips)
    more = n_outputs(task.recipe) - len(task.labels)
    return task.features(clips), np.pad(targets, ((0, 0), (0, more)))


def _model(recipe: Recipe, run: RunFolder) -> tuple[keras.Model, int]:
    """Return the compiled network and the epoch to begin with."""
    if run.state.is_file():
        model = keras.models.load_model(run.state)
        state = [variable.numpy() for variable in model.optimizer.variables]
        # Anew, because Keras does not save which variables are not decayed.
        compile_model(model, recipe)
        for variable, value in zip(model.optimizer.variables, state):
            variable.assign(value)
        return model, int(model.optimizer.iterations.numpy()) // recipe.fit.steps_per_epoch
    return fresh_model(recipe), 0


def fresh_model(recipe: Recipe) -> keras.Model:
    """Return the compiled network before its first step, begun as the recipe says."""
    model = build_model(recipe)
    load_first_weights(model, recipe)
    freeze(model, recipe.fit.frozen_layers)
    compile_model(model, recipe)
    return model


def _callbacks(recipe: Recipe, run: RunFolder) -> list[keras.callbacks.Callback]:
    """Return the callbacks in the order they must run.

    The state is saved before the averaged weights are swapped in, the best weights after.
    """
    best = max((row["val_accuracy"] for row in read_history(run.history)), default=None)
    callbacks: list[keras.callbacks.Callback] = [SaveState(run)]
    if recipe.fit.ema_momentum > 0:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    callbacks += [
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
        DrawCurves(run),
    ]
    if recipe.fit.early_stop_epochs:
        callbacks.append(StopEarly(recipe, run))
    return callbacks


def stopped_early(recipe: Recipe, run: RunFolder) -> bool:
    """Whether validation has not got better for as many epochs as the recipe waits.

    The run's log decides, so that a resumed run stops where an uninterrupted one would, and one
    that has stopped is not gone on with.
    """
    accuracies = [row["val_accuracy"] for row in read_history(run.history)]
    patience = recipe.fit.early_stop_epochs
    if not patience or not accuracies:
        return False
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience


class StopEarly(keras.callbacks.Callback):
    """Stop after the epoch with which the log says so; runs after the log is written."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        super().__init__()
        self._recipe, self._run = recipe, run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the log."""
        if stopped_early(self._recipe, self._run):
            self.model.stop_training = True


class SaveState(keras.callbacks.Callback):
    """Write the whole training state after each epoch, for --resume."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save model and optimizer."""
        with atomic_path(self._run.state) as temporary:
            self.model.save(temporary)


class DrawCurves(keras.callbacks.Callback):
    """Redraw the picture of loss and accuracy after each epoch."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw what the history file holds by now."""
        draw_curves(read_history(self._run.history), self._run.curves)


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the logged rows; an empty list where there is no log yet."""
    if not path.is_file():
        return []
    with open(path, newline="") as handle:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]
