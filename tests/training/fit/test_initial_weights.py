"""What training begins with: `start_from` and `frozen_layers`, without a step of training."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.fit import trainer as fit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PARAMS = {"stem_filters": 8, "blocks": [[8, 5, 1]], "head_filters": 8}


def recipe_for(keywords=("yes", "no"), model=None, frontend=None, **fit_settings):
    table = {
        "name": "tiny",
        "data": {"keywords": list(keywords)},
        "model": {"params": PARAMS, **(model or {})},
        "frontend": frontend or {},
        "fit": fit_settings,
    }
    return recipes.from_table(table, where="test")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    """The folder of a run with weights."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "first")
    run.start(recipe_for())
    build_model(recipe_for()).save_weights(run.best)
    return run.path


@pytest.mark.parametrize(
    "same",
    [{}, {"params": {**PARAMS, "dropout": 0.7}}, {"params": {**PARAMS, "stem_stride": 2}}],
)
def test_a_run_of_the_same_network_is_begun_with(first, same, monkeypatch):
    """
    Variables in the path are filled in; dropout may differ, and defaults may be spelt out.
    """
    monkeypatch.setenv("KWS_DATA", str(first.parent))
    wanted = build_model(recipe_for())
    wanted.load_weights(first / "best.weights.h5")

    model = fit.initial_model(recipe_for(model=same, start_from="$KWS_DATA/first"))

    for expected, got in zip(wanted.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(expected, got)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"params": {**PARAMS, "head_filters": 16}}}, "with the model.params"),
        ({"model": {"params": {**PARAMS, "blocks": [[8, 5, 2]]}}}, "with the model.params"),
        ({"model": {"name": "ds_cnn", "params": {}}}, "with the model.name ds_cnn, got ds_tc"),
        ({"frontend": {"n_mels": 32}}, r"with the input shape \(98, 32\), got \(98, 40\)"),
    ],
)
def test_a_run_of_another_network_is_refused(first, changes, message):
    """
    What the weights do not fit is one clear error, that tells the difference.
    """
    with pytest.raises(ConfigError, match=message):
        fit.initial_model(recipe_for(**changes, start_from=str(first)))


@pytest.mark.parametrize("keywords", [["lamp"], ["on", "off"]])
def test_for_other_labels_the_head_begins_anew(first, keywords, caplog):
    """
    Every layer but the head has the run's weights, also where there are as many labels as before,
    and what began anew is told.
    """
    theirs = build_model(recipe_for())
    theirs.load_weights(first / "best.weights.h5")

    with caplog.at_level(logging.INFO):
        ours = fit.initial_model(recipe_for(keywords=keywords, start_from=str(first)))

    for expected, got in zip(theirs.layers, ours.layers):
        for weights, taken in zip(expected.get_weights(), got.get_weights()):
            same = np.array_equal(weights, taken)
            # Biases begin with 0, in whatever head.
            assert same == (expected.name != "logits") or not weights.any()
    assert "a run of another task; begun anew: logits" in caplog.text


def test_a_network_inside_the_network_goes_on_too(tmp_path):
    """
    With the front end in the graph only the last layer begins anew as well.
    """
    run = RunFolder(tmp_path / "first")
    begun = recipes.load("mel-in-graph")
    run.start(begun)
    theirs = build_model(begun)
    theirs.save_weights(run.best)
    other = {"data.keywords": ["on", "off"], "fit.start_from": str(run.path)}

    ours = fit.initial_model(recipes.load("mel-in-graph", overrides=other))

    kept, before = (
        {"/".join(weight.path.split("/")[-2:]): weight.numpy() for weight in model.weights}
        for model in (ours, theirs)
    )
    changed = {
        name
        for name, weight in kept.items()
        if weight.ndim > 1 and not np.array_equal(weight, before[name])
    }
    assert {"logits/kernel"} == changed


def test_what_was_imitated_before_may_be_left_out(first, monkeypatch):
    """
    With the labels of before the head goes on as well.
    """
    begun = recipe_for()
    imitating = replace(
        begun, cache=replace(begun.cache, path="cache", feature_teacher="speech-embedding")
    )
    run = RunFolder(first.parent / "imitating")
    run.start(imitating)
    theirs = build_model(imitating)
    theirs.save_weights(run.best)

    ours = fit.initial_model(recipe_for(start_from=str(run.path)))

    for layer in (layer for layer in ours.layers if layer.weights):
        for expected, got in zip(theirs.get_layer(layer.name).get_weights(), layer.get_weights()):
            np.testing.assert_array_equal(expected, got)


def test_a_variable_that_is_not_set_is_told(monkeypatch):
    """
    A path is not taken by its letters where a variable in it is missing.
    """
    monkeypatch.delenv("KWS_DATA", raising=False)

    with pytest.raises(ConfigError, match=r"fit\.start_from .* the variable is not set"):
        fit.initial_model(recipe_for(start_from="$KWS_DATA/first"))


def test_frozen_layers_that_are_not_there_are_refused():
    """
    A beginning that no layer's name has is a mistake; one that fits freezes these layers alone.
    """
    model = fit.initial_model(recipe_for(frozen_layers=["stem"]))
    frozen = {layer.name for layer in model.layers if not layer.trainable}

    assert "stem" in frozen
    assert all(name.startswith("stem") for name in frozen)
    with pytest.raises(ConfigError, match=r"frozen_layers: expected .* stem.*, got 'conv0'"):
        fit.initial_model(recipe_for(frozen_layers=["stem", "conv0"]))
