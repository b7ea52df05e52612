"""A head on cached embeddings of Whisper: training, soft labels, export, folds."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.published_weights import published_file
from support.small_caches import cache_recipe, parts_of

from kws import models
from kws.errors import ConfigError
from kws.inference.interpreter import open_model
from training.architectures.pretrained import published_network
from training.architectures.recipe_model import trained_model
from training.batches.cached_batches import CachedBatches, mean_of_known
from training.batches.clip_cache import SAMPLES, SOURCES, ClipCache, save_array
from training.config.run_folder import RunFolder
from training.distillation.embedded_clips import write_embeddings
from training.distillation.soft_labels import soft_labels_of_run
from training.export import export as exports
from training.fit import trainer
from training.fit.callbacks import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NAME = "whisper-tiny.en"
KIND = f"embedding-{NAME}"


@pytest.fixture(scope="module", autouse=True)
def weights():
    """The published weights."""
    path = published_file("KWS_WHISPER", "whisper-tiny.en.safetensors", fetch=NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KWS_WHISPER", str(path))
        yield path


@pytest.fixture(scope="module")
def embedded(cache, tmp_path_factory) -> ClipCache:
    """A copy of the cache, with embeddings; a source for every third clip to none."""
    path = tmp_path_factory.mktemp("embedded") / "cache"
    shutil.copytree(cache.path, path)
    copied = ClipCache.open(path)
    list(write_embeddings(copied, NAME, n_processes=1))
    for shard in range(copied.n_shards):
        save_array(copied.file(shard, SOURCES), np.resize(np.int32([4, 7, -1]), 16))
    return copied


def head_recipe(clips, cache: ClipCache, **settings):
    """Return the recipe of a small head."""
    return cache_recipe(
        clips,
        frontend={"kind": "waveform", "mean": 0.0, "std": 1.0},
        model={"name": "embedding_head", "window_frames": 16_000, "params": {"filters": 8}},
        cache={"path": str(cache.path), "inputs": NAME, **settings},
        export={"hop_frames": 0, "parity_clips": 4},
    )


@pytest.fixture(scope="module")
def run(embedded, clips, tmp_path_factory) -> RunFolder:
    recipe = head_recipe(clips, embedded)
    return trainer.fit(recipe, tmp_path_factory.mktemp("runs") / "head", verbose=0)


def test_batches_hold_the_cached_embeddings(embedded, clips):
    """
    A batch is rows of the cache as they are; no two of a pass are the same clip.
    """
    rows = np.concatenate(parts_of(embedded, KIND)).astype(np.float32)
    batches = CachedBatches(head_recipe(clips, embedded), embedded)

    inputs = np.concatenate([batches.make(0, step)[0] for step in range(2)])

    assert (32, 25, 384) == inputs.shape
    places = [int(np.abs(rows - one).max(axis=(1, 2)).argmin()) for one in inputs]
    assert 32 == len(set(places))
    np.testing.assert_array_equal(inputs, rows[places])


def test_embeddings_must_be_there(cache, clips):
    """
    The error names the command that writes them.
    """
    with pytest.raises(ConfigError, match=r"kws-train soft-labels .* whisper-tiny\.en"):
        CachedBatches(head_recipe(clips, cache), cache)


def test_validation_clips_are_embedded_once(run, embedded, clips, tmp_path, monkeypatch):
    """
    The cache's folder keeps them: another seed needs no weights of Whisper.
    """
    (kept,) = embedded.path.glob(f"clips-*.{KIND}.npy")
    monkeypatch.setenv("KWS_WHISPER", str(tmp_path / "none"))

    again = trainer.fit(head_recipe(clips, embedded), tmp_path / "again", verbose=0)

    assert [kept] == list(embedded.path.glob(f"clips-*.{KIND}.npy"))
    assert (25, 384) == np.load(kept).shape[1:]
    assert read_history(run.history)[-1]["val_loss"] == pytest.approx(
        read_history(again.history)[-1]["val_loss"], rel=1e-4
    )


def test_soft_labels_come_from_the_cached_embeddings(run, embedded, monkeypatch, tmp_path):
    """
    The head runs on them; the encoder is not needed again.
    """
    monkeypatch.setenv("KWS_WHISPER", str(tmp_path / "none"))
    rows = np.concatenate(parts_of(embedded, KIND)).astype(np.float32)

    list(soft_labels_of_run(embedded, run, n_processes=1))

    soft = np.concatenate(parts_of(embedded, "teacher-head"))
    np.testing.assert_allclose(trained_model(run).predict(rows, verbose=0), soft, atol=2e-3)


def test_the_exported_model_takes_samples(run, embedded, tmp_path):
    """
    With the encoder in front, in float32: its posteriors are the head's on the embedding.
    """
    manifest = models.load(exports.export(run, tmp_path / "models", name="head", as_float=True))
    opened = open_model(manifest.read_form(manifest.window), where="head")
    _, model = published_network(NAME)
    encoder = keras.Model(model.input, model.get_layer("embedding").output)
    samples = parts_of(embedded, SAMPLES)[0][:3] / np.float32(32_768)
    expected = trained_model(run)(encoder(samples))
    found = []
    for window in samples:
        opened.memory(opened.inputs[0])[0] = window
        opened.interpreter.invoke()
        found.append(np.array(opened.memory(opened.outputs[0])[0]))

    assert ("waveform", (1, 16_000)) == (manifest.frontend.kind, opened.inputs[0].shape)
    np.testing.assert_allclose(expected, found, atol=1e-3)
    with pytest.raises(ConfigError, match="export with --float"):
        exports.export(run, tmp_path / "models")


def test_a_head_labels_only_the_fold_it_left_out(embedded, clips, tmp_path):
    """
    Of two folds the even sources train head 1 and are NaN in its soft labels; clips without a
    source train both heads, and both label them. Targets come from the head that was not trained
    on the clip.
    """
    sources = embedded.read_sources()
    rows = np.concatenate(parts_of(embedded, KIND)).astype(np.float32)
    for fold in (0, 1):
        recipe = head_recipe(clips, embedded, folds=2, fold=fold)
        inputs = np.concatenate([CachedBatches(recipe, embedded).make(0, n)[0] for n in (0, 1)])
        places = [int(np.abs(rows - one).max(axis=(1, 2)).argmin()) for one in inputs]
        assert {-1, 7 - 3 * fold} == set(sources[places])
        list(
            soft_labels_of_run(
                embedded, trainer.fit(recipe, tmp_path / f"fold-{fold}", verbose=0), n_processes=1
            )
        )
    soft = [np.concatenate(parts_of(embedded, f"teacher-fold-{fold}")) for fold in (0, 1)]

    for fold, odd in ((0, 4), (1, 7)):
        known = ~np.isnan(soft[fold]).any(axis=1)
        np.testing.assert_array_equal((sources == odd) | (sources == -1), known)
    student = cache_recipe(
        clips,
        cache={
            "path": str(embedded.path),
            "teacher_weight": 1.0,
            "teachers": ["fold-0", "fold-1"],
        },
    )
    targets = np.concatenate([CachedBatches(student, embedded).make(0, n)[1] for n in range(3)])
    np.testing.assert_allclose(np.ones(48), targets.sum(axis=1), atol=2e-3)


def test_a_cache_without_sources_has_no_folds(embedded, clips, tmp_path):
    """
    A cache of an earlier release must be drawn again.
    """
    shutil.copytree(embedded.path, tmp_path / "cache")
    older = ClipCache.open(tmp_path / "cache")
    older.file(1, SOURCES).unlink()

    with pytest.raises(ConfigError, match=r"00001\.sources\.npy: not there; draw another cache"):
        CachedBatches(head_recipe(clips, older, folds=2), older)


def test_the_mean_is_over_teachers_that_know_the_clip():
    """
    Both, one and none of two teachers: their mean, that one's row, and the label.
    """
    nan = np.nan
    each = np.float32([[[0.2, 0.8], [nan, nan], [nan, nan]], [[0.6, 0.4], [0.9, 0.1], [nan, nan]]])
    labels = np.float32([[0, 1], [0, 1], [0, 1]])

    expected = [[0.4, 0.6], [0.9, 0.1], [0.0, 1.0]]
    np.testing.assert_allclose(expected, mean_of_known(each, labels), atol=1e-6)
