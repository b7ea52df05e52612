"""Feature distillation: a network that also learns to predict a published embedding."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_caches import cache_recipe, parts_of

from kws.errors import ConfigError
from training.architectures.recipe_model import trained_model
from training.batches.cached_batches import CachedBatches, TeacherFeatures
from training.batches.clip_cache import ClipCache, save_array
from training.config.embeddings import find
from training.distillation.embedded_clips import write_embeddings
from training.distillation.feature_distillation import FeatureLoss, LabelAccuracy
from training.embedding.keras_backbones import embedding_model
from training.fit import trainer
from training.fit.callbacks import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
NAME = "speech-embedding"
N_STEPS, SIZE = 3, 96


@pytest.fixture(scope="module")
def embedded(cache, tmp_path_factory) -> ClipCache:
    """A copy of the cache with made embeddings: dimension j of step i has the mean i + j."""
    path = tmp_path_factory.mktemp("embedded") / "cache"
    shutil.copytree(cache.path, path)
    copied = ClipCache.open(path)
    rng = np.random.default_rng(4)
    means = np.arange(N_STEPS)[:, None] + np.arange(SIZE)
    for shard in range(copied.n_shards):
        made = means + rng.normal(0, 2, (16, N_STEPS, SIZE))
        save_array(copied.file(shard, f"embedding-{NAME}"), made.astype(np.float16))
    spread = {"mean": (np.arange(SIZE) + 1.0).tolist(), "std": [2.0] * SIZE}
    (path / f"embedding-{NAME}.json").write_text(json.dumps(spread))
    return copied


@pytest.fixture(scope="module")
def run(embedded, clips, tmp_path_factory):
    """A run of two steps with feature distillation."""
    recipe = cache_recipe(clips, cache={"path": str(embedded.path), "feature_teacher": NAME})
    return trainer.fit(recipe, tmp_path_factory.mktemp("runs") / "student", verbose=0)


def test_targets_are_labels_and_normalised_features(embedded, clips):
    """
    The features follow the labels, with mean 0 and standard deviation 1.
    """
    recipe = cache_recipe(clips, cache={"path": str(embedded.path), "feature_teacher": NAME})
    features = np.concatenate(parts_of(embedded, f"embedding-{NAME}")).astype(np.float32)
    normalised = ((features - (np.arange(SIZE) + 1)) / 2).reshape(len(features), -1)

    _, targets = CachedBatches(recipe, embedded).make(0, 0)

    n_labels = len(recipe.data.labels)
    assert (recipe.fit.batch_size, n_labels + N_STEPS * SIZE) == targets.shape
    for row in targets:
        assert row[:n_labels].sum() == pytest.approx(1)
        assert np.abs(normalised - row[n_labels:]).max(axis=1).min() < 1e-2


def test_a_student_is_trained_resumed_and_truncated(run):
    """
    Its accuracy counts labels only, its state holds the loss, its embedding is before the head.
    """
    recipe, model = run.read_recipe(), trained_model(run)
    state = keras.models.load_model(run.state)

    assert len(recipe.data.labels) + N_STEPS * SIZE == model.output.shape[-1]
    assert 0 <= read_history(run.history)[-1]["val_accuracy"] <= 1
    assert isinstance(state.loss, FeatureLoss)
    assert (1.0, 0.05) == (state.loss.weight, state.loss.label_smoothing)
    assert trainer.fit(recipe, run.path, resume=True, verbose=0).path == run.path
    assert model.get_layer("pool").output.shape == embedding_model(model).output.shape


@pytest.mark.parametrize(
    ("features", "expected"),
    # All zeros: unknown, as for validation clips.
    [((1.0, -1.0), np.log(2) + 2.0 * (1 + 4) / 2), ((0.0, 0.0), np.log(2))],
)
def test_the_loss_adds_the_weighted_error_of_known_features(features, expected):
    """
    Two labels and two features: cross-entropy plus twice the mean squared error.
    """
    target = np.array([[1.0, 0.0, *features]], np.float32)
    output = np.array([[0.5, 0.5, 0.0, 1.0]], np.float32)

    assert float(FeatureLoss(2, 2.0, 0.0)(target, output)) == pytest.approx(expected, rel=1e-5)


def test_accuracy_counts_labels_only():
    """
    A large feature is not taken for the most likely label.
    """
    metric = LabelAccuracy(n_labels=2)
    metric.update_state(
        np.array([[1.0, 0.0, 7.0], [0.0, 1.0, 7.0]]), np.array([[0.9, 0.1, 5.0], [0.9, 0.1, 5.0]])
    )

    assert float(metric.result()) == 0.5


def test_missing_embeddings_are_clear_errors(cache, clips):
    """
    The messages name the command that writes them, the published names, and the setting.
    """
    with pytest.raises(ConfigError, match=r"kws-train soft-labels .* speech-embedding"):
        TeacherFeatures(cache, NAME)
    with pytest.raises(ConfigError, match=r"speech-embedding or .*, got 'none'"):
        find("none")
    with pytest.raises(ConfigError, match=r"set cache\.path"):
        cache_recipe(clips, cache={"feature_teacher": NAME})


def test_the_published_embedding_of_each_clip_is_written(cache, tmp_path):
    """
    Google's network gives three embeddings of 96 numbers per clip, different for other clips.
    """
    pytest.importorskip("pyopen_wakeword", reason="carries the published weights")
    shutil.copytree(cache.path, tmp_path / "cache")
    copied = ClipCache.open(tmp_path / "cache")

    steps = list(write_embeddings(copied, NAME, n_processes=1))

    assert (3, 3) == steps[-1]
    features = np.concatenate(parts_of(copied, f"embedding-{NAME}"))
    assert (48, N_STEPS, SIZE) == features.shape
    assert features.astype(np.float32).std(axis=0).min() > 0.01
    normalised = TeacherFeatures(copied, NAME).of(np.arange(16))
    assert normalised.mean() == pytest.approx(0, abs=0.05)
