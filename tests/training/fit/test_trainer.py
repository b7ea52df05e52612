"""A few steps of real training on made audio: what a run leaves, and how it goes on."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_fits import make_recipe

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.fit import trainer as fits
from training.fit.callbacks import read_history

# Slow to import, and all on one fit: a machine under load needs its time.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # TensorFlow's own, about its converter's default and its old interpreter.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]


@pytest.fixture(scope="module")
def interrupted(clips, tmp_path_factory) -> RunFolder:
    """A run that stops after the first of its two epochs."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    out = tmp_path_factory.mktemp("runs") / "tiny"
    its_callbacks = fits.make_callbacks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "make_callbacks", lambda *given: [*its_callbacks(*given), Stop()])
        fits.fit(make_recipe(clips), out, verbose=0)
    return RunFolder(out)


@pytest.fixture(scope="module")
def first_epoch(interrupted) -> list[dict[str, float]]:
    """What the interrupted run had logged."""
    return read_history(interrupted.history)


@pytest.fixture(scope="module")
def resumed(interrupted, first_epoch, clips) -> RunFolder:
    """The same run, gone on to its end."""
    return fits.fit(make_recipe(clips), interrupted.path, resume=True, verbose=0)


def test_a_run_writes_all_it_promises(interrupted, first_epoch):
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


def test_a_run_can_be_read_back(interrupted, clips):
    """
    The folder tells by which recipe it was made.
    """
    assert recipes.to_table(interrupted.read_recipe()) == recipes.to_table(make_recipe(clips))


def test_resume_goes_on_with_the_next_epoch(resumed, first_epoch):
    """
    The second epoch follows the first: one row each, and as many steps as two epochs have.
    """
    history = read_history(resumed.history)
    state = keras.models.load_model(resumed.state)

    assert [row["epoch"] for row in history] == [0, 1]
    assert history[0] == first_epoch[0]
    assert int(state.optimizer.iterations.numpy()) == 4


def test_best_weights_are_those_of_the_best_epoch(resumed, clips):
    """
    The averaged weights on disk score what the history says of the best epoch.
    """
    recipe = make_recipe(clips)
    model = build_model(recipe)
    model.load_weights(resumed.best)
    features, targets = fits.validation_arrays(open_task(recipe))
    predicted = model.predict(features, verbose=0).argmax(axis=1)
    best = max(row["val_accuracy"] for row in read_history(resumed.history))

    assert np.mean(predicted == targets.argmax(axis=1)) == pytest.approx(best, abs=1e-6)


def test_a_finished_run_has_nothing_left_to_do(resumed, clips, caplog):
    """
    Resuming after the last epoch trains no further.
    """
    with caplog.at_level(logging.INFO, logger="training"):
        fits.fit(make_recipe(clips), resumed.path, resume=True, verbose=0)

    assert "training has finished" in caplog.text
    assert len(read_history(resumed.history)) == 2


def test_a_run_is_not_overwritten_nor_mixed(resumed, clips):
    """
    Without --resume a folder with a run is refused, with it another recipe is.
    """
    other = dataclasses.replace(make_recipe(clips), seed=2)

    with pytest.raises(ConfigError, match=r"holds a run already; go on with --resume"):
        fits.fit(make_recipe(clips), resumed.path)
    with pytest.raises(ConfigError, match=r"its recipe\.json differs from the recipe given"):
        fits.fit(other, resumed.path, resume=True)


def test_missing_data_is_told_before_training(tmp_path):
    """
    A folder that is not there is one clear error.
    """
    with pytest.raises(ConfigError, match="none: expected a folder with one folder a word"):
        fits.fit(make_recipe(tmp_path / "none"), tmp_path / "run", verbose=0)


def test_an_unknown_architecture_names_the_choices(clips):
    """
    Names and parameters that do not fit are errors of ours.
    """
    recipe = make_recipe(clips)

    with pytest.raises(ConfigError, match=r"expected one of bc_resnet, .*ds_cnn.*got 'resnet'"):
        build_model(
            dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, name="resnet"))
        )
    with pytest.raises(ConfigError, match=r"model\.params of ds_tc_resnet: .*colour"):
        build_model(
            dataclasses.replace(
                recipe, model=dataclasses.replace(recipe.model, params={"colour": 1})
            )
        )
    with pytest.raises(ConfigError, match="at least 8 time steps must reach the pooling, got "):
        build_model(
            dataclasses.replace(
                recipe, model=dataclasses.replace(recipe.model, params={"blocks": [[16, 41, 1]]})
            )
        )
