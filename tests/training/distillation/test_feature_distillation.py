"""Imitation: a network that learns to say what a published embedding says of a cache's clips."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_caches import cache_recipe, parts_of

from kws.errors import ConfigError
from training.architectures.embedding_output import find
from training.architectures.recipe_model import build_model
from training.batches.cached_batches import CachedBatches, TeacherFeatures
from training.batches.clip_cache import ClipCache, save_array
from training.distillation.feature_distillation import (
    ImitationLoss,
    LabelAccuracy,
    teach_embedding,
)
from training.embedding.keras_backbones import embedding_model
from training.fit import trainer as fits
from training.fit.callbacks import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
NAME = "speech-embedding"
N_LABELS, N_STEPS, SIZE = 3, 3, 96


@pytest.fixture(scope="module")
def heard(cache, tmp_path_factory) -> ClipCache:
    """A copy of the cache with made embeddings: number j of step i is drawn about i + j."""
    path = tmp_path_factory.mktemp("heard") / "cache"
    shutil.copytree(cache.path, path)
    copied = ClipCache.open(path)
    rng = np.random.default_rng(4)
    middle = np.arange(N_STEPS)[:, None] + np.arange(SIZE)
    for shard in range(copied.n_shards):
        made = middle + rng.normal(0, 2, (16, N_STEPS, SIZE))
        save_array(copied.file(shard, f"embedding-{NAME}"), made.astype(np.float16))
    spread = {"mean": (np.arange(SIZE) + 1.0).tolist(), "std": [2.0] * SIZE}
    (path / f"embedding-{NAME}.json").write_text(json.dumps(spread))
    return copied


@pytest.fixture(scope="module")
def run(heard, clips, tmp_path_factory):
    """A run of two steps that imitates."""
    recipe = cache_recipe(clips, cache={"path": str(heard.path), "feature_teacher": NAME})
    return fits.fit(recipe, tmp_path_factory.mktemp("runs") / "student", verbose=0)


def test_targets_are_labels_and_the_normalised_embedding(heard, clips):
    """Behind the labels stands what the embedding said of the very clip, mean 0, deviation 1."""
    recipe = cache_recipe(clips, cache={"path": str(heard.path), "feature_teacher": NAME})

    _, targets = CachedBatches(recipe, heard).make(0, 0)

    n_labels = len(recipe.data.labels)
    assert (recipe.fit.batch_size, n_labels + N_STEPS * SIZE) == targets.shape
    said = np.concatenate(parts_of(heard, f"embedding-{NAME}")).astype(np.float32)
    normalised = ((said - (np.arange(SIZE) + 1)) / 2).reshape(len(said), -1)
    for row in targets:
        assert row[:n_labels].sum() == pytest.approx(1)
        assert np.abs(normalised - row[n_labels:]).max(axis=1).min() < 1e-2


def test_a_student_is_trained_kept_and_cut(run, clips):
    """Its accuracy counts labels alone, it resumes, and its embedding is that before the head."""
    recipe = run.read_recipe()
    model = build_model(recipe)
    model.load_weights(run.best)

    assert len(recipe.data.labels) + N_STEPS * SIZE == model.output.shape[-1]
    history = read_history(run.history)
    assert 0 <= history[-1]["val_accuracy"] <= 1
    assert fits.fit(recipe, run.path, resume=True, verbose=0).path == run.path
    assert model.get_layer("pool").output.shape == embedding_model(model).output.shape


def test_the_loss_is_that_of_labels_and_a_weighted_error():
    """Two labels and two numbers: cross-entropy, and twice the mean square of what is missed."""
    target = np.array([[1.0, 0.0, 1.0, -1.0]], np.float32)
    said = np.array([[0.5, 0.5, 0.0, 1.0]], np.float32)

    loss = float(ImitationLoss(2, 2.0, 0.0)(target, said))

    assert loss == pytest.approx(np.log(2) + 2.0 * (1 + 4) / 2, rel=1e-5)


def test_what_was_not_heard_is_not_imitated():
    """Validation clips have no embedding: zeros there say nothing, whatever the network says."""
    target = np.array([[1.0, 0.0, 0.0, 0.0]], np.float32)
    said = np.array([[0.5, 0.5, 9.0, -9.0]], np.float32)

    assert float(ImitationLoss(2, 2.0, 0.0)(target, said)) == pytest.approx(np.log(2), rel=1e-5)


def test_accuracy_is_of_the_labels_alone():
    """A large number of the imitation is not taken for the likeliest label."""
    metric = LabelAccuracy(n_labels=2)
    metric.update_state(
        np.array([[1.0, 0.0, 7.0], [0.0, 1.0, 7.0]]), np.array([[0.9, 0.1, 5.0], [0.9, 0.1, 5.0]])
    )

    assert float(metric.result()) == 0.5


def test_a_bank_that_was_not_heard_is_an_error(cache):
    """The line says which command lets the embedding listen."""
    with pytest.raises(ConfigError, match=r"kws-train soft-labels .* speech-embedding"):
        TeacherFeatures(cache, NAME)


def test_an_embedding_that_is_not_published_is_an_error(clips):
    """The error names those that are."""
    with pytest.raises(ConfigError, match="speech-embedding, got 'none'"):
        find("none")
    with pytest.raises(ConfigError, match=r"set cache\.path"):
        cache_recipe(clips, cache={"feature_teacher": NAME})


def test_the_published_embedding_listens(cache, tmp_path):
    """Google's network says three embeddings of 96 numbers of each clip, and others of others."""
    pytest.importorskip("pyopen_wakeword", reason="carries the published weights")
    shutil.copytree(cache.path, tmp_path / "cache")
    copied = ClipCache.open(tmp_path / "cache")

    steps = list(teach_embedding(copied, NAME, n_processes=1))

    assert (3, 3) == steps[-1]
    said = np.concatenate(parts_of(copied, f"embedding-{NAME}"))
    assert (48, N_STEPS, SIZE) == said.shape
    assert said.astype(np.float32).std(axis=0).min() > 0.01
    normalised = TeacherFeatures(copied, NAME).of(np.arange(16))
    assert normalised.mean() == pytest.approx(0, abs=0.05)


def test_the_loss_is_saved_with_the_state(run):
    """What `--resume` loads knows the loss and the metric again."""
    loaded = keras.models.load_model(run.state)

    assert isinstance(loaded.loss, ImitationLoss)
    assert (1.0, 0.05) == (loaded.loss.weight, loaded.loss.label_smoothing)
