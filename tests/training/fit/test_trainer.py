"""A few steps of real training on made audio: what a run leaves, how it resumes and stops."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import PARAMS, recipe_for

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model, trained_model
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit import trainer
from training.fit.callbacks import read_history, stopped_early
from training.fit.optimizer import warn_of_long_average

# Slow to import; a machine under load needs its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def steady_recipe(clips: Path, **fit: Any) -> Recipe:
    """Return a recipe without dropout, so that a run and its repetition can be compared."""
    return recipe_for(
        clips,
        model={"params": {**PARAMS, "dropout": 0.0}},
        fit={"batch_size": 8, "warmup_epochs": 0.2, **fit},
    )


@pytest.fixture(scope="module")
def recipe(clips) -> Recipe:
    """Two epochs, with weight decay so strong that decaying too many weights shows."""
    return steady_recipe(clips, epochs=2, clips_per_epoch=64, learning_rate=0.01, weight_decay=1.0)


def fit_one_epoch(recipe: Recipe, out: Path) -> RunFolder:
    """Train as if the run were interrupted after its first epoch."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    make_callbacks = trainer.make_callbacks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "make_callbacks", lambda *given: [*make_callbacks(*given), Stop()])
        return trainer.fit(recipe, out, verbose=0)


@pytest.fixture(scope="module")
def interrupted(recipe, tmp_path_factory) -> RunFolder:
    """A run that stops after the first of its two epochs."""
    return fit_one_epoch(recipe, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def first_epoch(interrupted) -> list[dict[str, float]]:
    """What the interrupted run had logged."""
    return read_history(interrupted.history)


@pytest.fixture(scope="module")
def resumed(interrupted, first_epoch, recipe) -> RunFolder:
    """The same run, resumed to its end."""
    return trainer.fit(recipe, interrupted.path, resume=True, verbose=0)


def test_a_run_writes_its_files(interrupted, first_epoch, recipe):
    """
    After an epoch there are recipe, best weights, state, history, curves and TensorBoard's log.
    """
    names = {path.name for path in interrupted.path.iterdir()}

    assert {
        "recipe.json",
        "best.weights.h5",
        "last.keras",
        "history.csv",
        "curves.png",
        "tensorboard",
    } <= names
    assert interrupted.curves.read_bytes()[:4] == b"\x89PNG"
    assert [row["epoch"] for row in first_epoch] == [0]
    assert not any(name.startswith(".") for name in names)
    assert recipes.to_table(interrupted.read_recipe()) == recipes.to_table(recipe)


def test_a_resumed_run_equals_an_uninterrupted_one(resumed, first_epoch, recipe, tmp_path):
    """
    Weights, averages, schedule and weight decay continue where the run stopped.
    """
    whole = trainer.fit(recipe, tmp_path / "whole", verbose=0)

    expected, got = read_history(whole.history), read_history(resumed.history)
    assert [0, 1] == [row["epoch"] for row in got]
    assert first_epoch == got[:1]
    for one, other in zip(expected, got):
        assert other == pytest.approx(one, abs=1e-4)


def test_best_weights_are_those_of_the_best_epoch(resumed, recipe):
    """
    The averaged weights on disk reach the best accuracy of the history.
    """
    features, targets = trainer.validation_arrays(open_task(recipe))
    predicted = trained_model(resumed).predict(features, verbose=0).argmax(axis=1)
    best = max(row["val_accuracy"] for row in read_history(resumed.history))

    assert np.mean(predicted == targets.argmax(axis=1)) == pytest.approx(best, abs=1e-6)


def test_a_finished_run_is_left_as_it_is(resumed, recipe, caplog):
    """
    Resuming trains no further; without --resume, or with another recipe, it is an error.
    """
    with caplog.at_level(logging.INFO, logger="training"):
        trainer.fit(recipe, resumed.path, resume=True, verbose=0)

    assert "training has finished" in caplog.text
    assert len(read_history(resumed.history)) == 2
    with pytest.raises(ConfigError, match=r"holds a run already; .* --resume"):
        trainer.fit(recipe, resumed.path)
    with pytest.raises(ConfigError, match=r"its recipe\.json differs from the recipe given"):
        trainer.fit(dataclasses.replace(recipe, seed=2), resumed.path, resume=True)


def test_missing_data_are_an_error_before_training(tmp_path):
    """
    A missing folder is one clear error, and leaves no run.
    """
    with pytest.raises(ConfigError, match="none: expected a folder with one folder per word"):
        trainer.fit(steady_recipe(tmp_path / "none"), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_an_early_stop_is_final(clips, tmp_path):
    """
    Without learning the second epoch is the last, also when the run was interrupted or is resumed.
    """
    recipe = steady_recipe(
        clips, epochs=4, clips_per_epoch=16, learning_rate=0.0, early_stop_epochs=1
    )
    fit_one_epoch(recipe, tmp_path / "run")

    for _ in range(2):
        run = trainer.fit(recipe, tmp_path / "run", resume=True, verbose=0)
        assert [0, 1] == [row["epoch"] for row in read_history(run.history)]


@pytest.mark.parametrize(
    ("accuracies", "patience", "stopped"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.4, 0.6, 0.6], 2, False),
        ([0.5, 0.4, 0.6, 0.6, 0.5], 2, True),
        ([0.5, 0.4, 0.3], 0, False),
    ],
)
def test_the_log_decides_when_a_run_stops(tmp_path, accuracies, patience, stopped):
    """
    It stops that many epochs after the first of the best ones; 0 never stops.
    """
    run = RunFolder(tmp_path)
    lines = [f"{epoch},{accuracy}" for epoch, accuracy in enumerate(accuracies)]
    run.history.write_text("\n".join(["epoch,val_accuracy", *lines]) + "\n")

    recipe = steady_recipe(tmp_path, early_stop_epochs=patience)
    assert stopped == stopped_early(recipe, run)


@pytest.mark.parametrize(
    ("momentum", "n_epochs", "warned"), [(0.999, 8, True), (0.98, 8, False), (0.999, 85, False)]
)
def test_an_average_longer_than_the_run_is_a_warning(clips, caplog, momentum, n_epochs, warned):
    """
    Averaged weights are validated and kept; with many random initial ones they predict nothing.
    """
    settings = {"epochs": n_epochs, "clips_per_epoch": 120 * 128, "batch_size": 128}
    warn_of_long_average(recipe_for(clips, fit={**settings, "ema_momentum": momentum}))

    assert warned == ("random initial ones" in caplog.text)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "resnet"}, r"expected one of bc_resnet, .*ds_cnn.*got 'resnet'"),
        ({"params": {"colour": 1}}, r"model\.params of ds_tc_resnet: .*colour"),
        ({"params": {"blocks": [[16, 41, 1]]}}, "at least 8 time steps must reach the pooling"),
    ],
)
def test_an_impossible_network_is_a_clear_error(clips, model, message):
    """
    Unknown names and parameters are refused with the choices.
    """
    recipe = recipe_for(clips)
    other = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **model))

    with pytest.raises(ConfigError, match=message):
        build_model(other)
