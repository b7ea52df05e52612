"""Initial weights: `start_from` and `frozen_layers`, without a step of training."""

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
def test_training_starts_from_a_run_of_the_same_network(first, same, monkeypatch):
    """
    Variables in the path are expanded; dropout may differ, and defaults may be given.
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
    One clear error names the difference.
    """
    with pytest.raises(ConfigError, match=message):
        fit.initial_model(recipe_for(**changes, start_from=str(first)))


@pytest.mark.parametrize("keywords", [["lamp"], ["on", "off"]])
def test_other_labels_get_a_fresh_head(first, keywords, caplog):
    """
    All other layers have the run's weights, also with as many labels as before; the log names the
    fresh ones.
    """
    theirs = build_model(recipe_for())
    theirs.load_weights(first / "best.weights.h5")

    with caplog.at_level(logging.INFO):
        ours = fit.initial_model(recipe_for(keywords=keywords, start_from=str(first)))

    for expected, got in zip(theirs.layers, ours.layers):
        for weights, taken in zip(expected.get_weights(), got.get_weights()):
            same = np.array_equal(weights, taken)
            # Biases of any head start with 0.
            assert same == (expected.name != "logits") or not weights.any()
    assert "fresh weights in logits, all others copied" in caplog.text


def test_layers_of_a_nested_network_are_copied(tmp_path):
    """
    With the front end in the graph, too, only the last layer is fresh.
    """
    run = RunFolder(tmp_path / "first")
    earlier = recipes.load("mel-in-graph")
    run.start(earlier)
    theirs = build_model(earlier)
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


def test_a_run_of_feature_distillation_can_continue_without_it(first):
    """
    With the same labels the head is copied, too.
    """
    plain = recipe_for()
    distilled = replace(
        plain, cache=replace(plain.cache, path="cache", feature_teacher="speech-embedding")
    )
    run = RunFolder(first.parent / "distilled")
    run.start(distilled)
    theirs = build_model(distilled)
    theirs.save_weights(run.best)

    ours = fit.initial_model(recipe_for(start_from=str(run.path)))

    for layer in (layer for layer in ours.layers if layer.weights):
        for expected, got in zip(theirs.get_layer(layer.name).get_weights(), layer.get_weights()):
            np.testing.assert_array_equal(expected, got)


def test_an_unset_variable_in_the_path_is_an_error(monkeypatch):
    """
    The path is not taken literally.
    """
    monkeypatch.delenv("KWS_DATA", raising=False)

    with pytest.raises(ConfigError, match=r"fit\.start_from .* the variable is not set"):
        fit.initial_model(recipe_for(start_from="$KWS_DATA/first"))


def test_layers_are_frozen_by_prefix():
    """
    Only layers whose names start with a prefix are frozen; a prefix without layers is an error.
    """
    model = fit.initial_model(recipe_for(frozen_layers=["stem"]))
    frozen = {layer.name for layer in model.layers if not layer.trainable}

    assert "stem" in frozen
    assert all(name.startswith("stem") for name in frozen)
    with pytest.raises(ConfigError, match=r"frozen_layers: expected a prefix .*, got 'conv0'"):
        fit.initial_model(recipe_for(frozen_layers=["stem", "conv0"]))
