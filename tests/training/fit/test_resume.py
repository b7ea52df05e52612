"""A run that was interrupted and resumed is the run that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import PARAMS, recipe_for

from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit import trainer as fits
from training.fit.callbacks import read_history, stopped_early
from training.fit.optimizer import warn_of_long_average

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Stop(keras.callbacks.Callback):
    """Stop after the epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = True


def steady_recipe(clips: Path, **fit: Any) -> Recipe:
    """Return a recipe without dropout, so that a run and its repetition can be compared."""
    return recipe_for(
        clips,
        model={"params": {**PARAMS, "dropout": 0.0}},
        fit={"batch_size": 8, "warmup_epochs": 0.2, **fit},
    )


def small_clips(tmp_path: Path, write_tree: Any) -> Path:
    counts = {word: {"training": 6, "validation": 3} for word in ("yes", "no", "cat")}
    return write_tree(tmp_path / "clips", counts, noise_s=10)


def test_a_resumed_run_has_the_curves_of_an_uninterrupted_one(tmp_path, write_tree, monkeypatch):
    """
    Weights, averages, schedule and what is not decayed are those of the run that stopped.
    """
    # Decay so strong that one of too many weights shows.
    fit = {"epochs": 2, "clips_per_epoch": 128, "learning_rate": 0.01, "weight_decay": 1.0}
    recipe = steady_recipe(small_clips(tmp_path, write_tree), **fit)
    whole = fits.fit(recipe, tmp_path / "whole", verbose=0)
    its_callbacks = fits.make_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(fits, "make_callbacks", lambda *given: [*its_callbacks(*given), Stop()])
        fits.fit(recipe, tmp_path / "parts", verbose=0)
    parts = fits.fit(recipe, tmp_path / "parts", resume=True, verbose=0)

    expected, got = read_history(whole.history), read_history(parts.history)
    assert [0, 1] == [row["epoch"] for row in got]
    for one, other in zip(expected, got):
        assert other == pytest.approx(one, abs=1e-4)


def test_a_run_that_stopped_early_stays_stopped(tmp_path, write_tree, monkeypatch):
    """
    Without learning, validation never gets better: the second epoch is the last, whether the
    first one was interrupted or not, and however often the run is resumed.
    """
    fit = {"epochs": 4, "clips_per_epoch": 16, "learning_rate": 0.0, "early_stop_epochs": 1}
    recipe = steady_recipe(small_clips(tmp_path, write_tree), **fit)
    its_callbacks = fits.make_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(fits, "make_callbacks", lambda *given: [*its_callbacks(*given), Stop()])
        fits.fit(recipe, tmp_path / "run", verbose=0)

    for _ in range(2):
        run = fits.fit(recipe, tmp_path / "run", resume=True, verbose=0)
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
def test_the_log_tells_where_a_run_stops(tmp_path, accuracies, patience, stopped):
    """
    As many epochs as the recipe waits since the first of the best ones; 0 never stops.
    """
    run = RunFolder(tmp_path)
    lines = [f"{epoch},{accuracy}" for epoch, accuracy in enumerate(accuracies)]
    run.history.write_text("\n".join(["epoch,val_accuracy", *lines]) + "\n")

    recipe = steady_recipe(tmp_path, early_stop_epochs=patience)
    assert stopped == stopped_early(recipe, run)


@pytest.mark.parametrize(
    ("momentum", "n_epochs", "told"), [(0.999, 8, True), (0.98, 8, False), (0.999, 85, False)]
)
def test_an_average_longer_than_the_run_is_told(clips, caplog, momentum, n_epochs, told):
    """
    Validated and kept are averaged weights: much of the random first ones in them predicts nothing.
    """
    settings = {"epochs": n_epochs, "clips_per_epoch": 120 * 128, "batch_size": 128}
    warn_of_long_average(recipe_for(clips, fit={**settings, "ema_momentum": momentum}))

    assert told == ("random first ones" in caplog.text)
