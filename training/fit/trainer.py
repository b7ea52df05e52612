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
from training.architectures.build import build_model, n_outputs
from training.batches.class_recipe import resolved
from training.batches.class_sampler import class_data
from training.batches.features import FeatureMaker
from training.batches.picture_sampler import picture_features
from training.batches.prefetch import BatchFeeder
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.datasets import twelve_class as protocol
from training.datasets.clips import Clip, fit_length
from training.evaluation.class_scores import SCORES, write_scores
from training.evaluation.learning_curves import draw_curves
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
    recipe = resolved(recipe)
    run = RunFolder(out)
    run.check(recipe, resume=resume)
    keras.utils.set_random_seed(recipe.seed)
    keep_freed_memory()
    model, first_epoch = _model(recipe, run)
    if first_epoch >= recipe.fit.epochs or stopped_early(recipe, run):
        logger.info("%s: all %d epochs are done", out, first_epoch)
        _score(recipe, run)
        return run
    logger.info("%s: %d parameters", recipe.model.name, model.count_params())
    warn_of_long_average(recipe)
    with BatchFeeder(recipe) as feeder:
        run.start(recipe)
        model.fit(
            feeder.batches(first_epoch),
            steps_per_epoch=recipe.fit.steps_per_epoch,
            epochs=recipe.fit.epochs,
            initial_epoch=first_epoch,
            validation_data=validation_arrays(recipe),
            validation_batch_size=256,
            callbacks=_callbacks(recipe, run),
            shuffle=False,
            verbose=verbose,
        )
    _score(recipe, run)
    return run


def _score(recipe: Recipe, run: RunFolder) -> None:
    """Write what the best weights do on the clips of a plain classification, if not done yet."""
    if not recipe.source.kind or (run.path / SCORES).is_file():
        return
    model = build_model(recipe)
    model.load_weights(run.best)
    write_scores(
        recipe,
        run.path,
        lambda clips: model.predict(clip_features(clips, recipe), batch_size=64, verbose=0)[
            :, : len(recipe.data.labels)
        ],
    )


def validation_clips(recipe: Recipe) -> list[Clip]:
    """Return the validation clips: of a plain classification as split, else balanced."""
    if recipe.source.kind:
        return class_data(recipe).clips("validation")
    root = recipe.data.path("clips")
    assert root is not None
    return protocol.balanced_split(root, recipe.data.labels, "validation")


def validation_arrays(recipe: Recipe) -> tuple[FloatArray, FloatArray]:
    """Return normalised features and one-hot targets of the validation clips."""
    clips = validation_clips(recipe)
    features = clip_features(clips, recipe)
    labels = recipe.data.labels
    # As long as the network's output: what an imitated embedding would say is not known here.
    targets = np.zeros((len(clips), n_outputs(recipe)), np.float32)
    targets[range(len(clips)), [labels.index(clip.label) for clip in clips]] = 1
    return features, targets


def clip_features(clips: list[Clip], recipe: Recipe) -> FloatArray:
    """Return normalised features of whole clips, as the network takes them; or pictures."""
    if recipe.source.kind == "pictures":
        return picture_features(clips)
    maker = FeatureMaker(recipe.frontend)
    n_samples = recipe.clip_samples
    parts = []
    for start in range(0, len(clips), 256):
        samples = np.stack(
            [fit_length(clip.read(), n_samples) for clip in clips[start : start + 256]]
        )
        parts.append(maker.windows(samples, n_frames=recipe.model.window_frames))
    return np.concatenate(parts)


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
