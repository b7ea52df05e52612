"""Soft labels of trained runs and finished models, and training on a cache that has them."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_caches import cache_recipe, parts_of

from kws import KeywordSpotter, log_mel, models
from kws.errors import ConfigError, KwsError
from training.architectures.recipe_model import build_model, trained_model
from training.batches import draw_cache
from training.batches.cached_batches import CachedBatches, without_false_keywords
from training.batches.clip_cache import SAMPLES, ClipCache
from training.batches.features import FeatureMaker
from training.cli import train
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.distillation.soft_labels import soft_labels_of_model, soft_labels_of_run
from training.export import export as exports
from training.fit import trainer
from training.fit.callbacks import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def teacher(clips, tmp_path_factory) -> RunFolder:
    """A run of two steps."""
    return trainer.fit(cache_recipe(clips), tmp_path_factory.mktemp("runs") / "large", verbose=0)


@pytest.fixture(scope="module")
def labelled(cache, teacher) -> ClipCache:
    """The cache with the teacher's soft labels."""
    list(soft_labels_of_run(cache, teacher))
    return cache


def test_soft_labels_are_the_posteriors_of_the_teacher(labelled, teacher):
    """
    They are predicted for exactly the clips of the cache.
    """
    recipe = teacher.read_recipe()
    samples = np.concatenate(parts_of(labelled, SAMPLES))
    windows = FeatureMaker(recipe.frontend).windows(samples, n_frames=98)
    expected = trained_model(teacher).predict(windows, verbose=0)

    soft = np.concatenate(parts_of(labelled, "teacher-large"))

    assert ("large",) == labelled.teachers
    np.testing.assert_allclose(soft, expected, atol=2e-3)


def test_a_name_stands_for_the_same_weights(labelled, teacher, tmp_path):
    """
    A copy of the run may continue; a run of the same name with other weights is refused.
    """
    copied = RunFolder(tmp_path / "large")
    shutil.copytree(teacher.path, copied.path)
    before = labelled.file(0, "teacher-large").read_bytes()

    assert [(3, 3)] == list(soft_labels_of_run(labelled, copied))
    record = labelled.path / "teacher-large.json"
    recorded = record.read_text()
    record.write_text(json.dumps({"run": "elsewhere", "weights_sha256": "0"}))
    with pytest.raises(ConfigError, match=r"expected the weights of elsewhere, .* got others"):
        list(soft_labels_of_run(labelled, copied))
    record.write_text(recorded)
    assert before == labelled.file(0, "teacher-large").read_bytes()


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_a_finished_model_can_be_the_teacher(labelled, teacher, tmp_path, capsys):
    """
    Its soft labels are the runtime's posteriors, under its name, which stands for its file.
    """
    path = exports.export(teacher, tmp_path / "models", name="finished")
    manifest = models.load(path)
    spotter = KeywordSpotter.from_model(path, mode="window")
    samples = np.concatenate(parts_of(labelled, SAMPLES))
    expected = [spotter.model.predict(log_mel(clip, manifest.frontend)[:98]) for clip in samples]

    assert 0 == train.main(["soft-labels", str(labelled.path), str(path)])
    soft = np.concatenate(parts_of(labelled, "teacher-finished"))

    assert "soft labels of finished" in capsys.readouterr().out
    np.testing.assert_allclose(expected, soft, atol=0.02)
    np.testing.assert_allclose(np.concatenate(parts_of(labelled, "teacher-large")), soft, atol=0.1)
    window = path.parent / manifest.window.file
    window.write_bytes(window.read_bytes()[:-1])
    with pytest.raises(KwsError, match=r"finished\.tflite: expected sha256 .* got"):
        list(soft_labels_of_model(labelled, manifest))


def test_a_teacher_must_have_the_labels_of_the_cache(cache, clips, tmp_path):
    """
    A run and a finished model for other words are refused before anything is written.
    """
    recipe = cache_recipe(clips, data={"keywords": ["no"]})
    run = RunFolder(tmp_path / "other")
    run.start(recipe)
    build_model(recipe).save_weights(run.best)

    with pytest.raises(KwsError, match="expected the labels of the cache, yes, no"):
        list(soft_labels_of_run(cache, run))
    with pytest.raises(KwsError, match=r"default\.json: expected the labels of the cache"):
        list(soft_labels_of_model(cache, models.load("default")))
    assert not {"other", "default"} & set(cache.teachers)


def test_an_unknown_teacher_is_refused_before_any_work(labelled, teacher, capsys):
    """
    One line names what a teacher can be.
    """
    before = labelled.teachers

    assert 1 == train.main(["soft-labels", str(labelled.path), str(teacher.path), "nobody"])
    assert (
        "teacher 'nobody': expected the folder of a run, a model (default, large, tiny, "
        in capsys.readouterr().err
    )
    assert before == labelled.teachers


def test_targets_blend_hard_and_soft_labels(labelled, clips):
    """
    With weight 0.75, three quarters of a target are soft. Without a keyword in the clip, none of
    it is a keyword's.
    """
    path = str(labelled.path)
    weighted = cache_recipe(clips, cache={"path": path, "teacher_weight": 0.75})
    soft, hard = (
        np.concatenate([CachedBatches(recipe, labelled).make(0, step)[1] for step in range(4)])
        for recipe in (weighted, cache_recipe(clips, cache={"path": path}))
    )

    assert {0.0, 1.0} == set(np.unique(hard))
    assert ((soft * hard).sum(axis=1) >= 0.25).all()
    np.testing.assert_allclose(np.ones(len(soft)), soft.sum(axis=1), atol=2e-3)
    negative = hard[:, :2].sum(axis=1) == 0
    assert 3 <= negative.sum() < len(hard)
    np.testing.assert_array_equal(np.zeros((negative.sum(), 2)), soft[negative, :2])
    assert (soft[~negative, :2] > 0).all()


def test_false_keywords_of_a_teacher_go_to_the_true_label():
    """
    This holds for clips without a keyword; in others nothing changes.
    """
    soft = np.float32([[0.5, 0.25, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])
    expected = [[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.3, 0.7]]

    corrected = without_false_keywords(soft, np.array([1, 2, 3]), 2)

    np.testing.assert_allclose(expected, corrected, atol=1e-6)
    np.testing.assert_allclose([0.5, 0.5, 0.1], soft[:, 0])


def test_a_student_trains_on_soft_labels(labelled, clips, tmp_path):
    """
    `fit` takes its batches from the cache; without the soft labels it names the command.
    """
    recipe = cache_recipe(clips, cache={"path": str(labelled.path), "teacher_weight": 0.5})
    unknown = dataclasses.replace(
        recipe, cache=dataclasses.replace(recipe.cache, teachers=("nobody",))
    )

    run = trainer.fit(recipe, tmp_path / "student", verbose=0)

    assert run.best.is_file()
    assert 1 == len(read_history(run.history))
    with pytest.raises(ConfigError, match="kws-train soft-labels"):
        trainer.fit(unknown, tmp_path / "other", verbose=0)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("speech_split", "dev_clean"), ("held_out_noise", ("rain",))]
)
def test_a_cache_of_other_recordings_is_refused(cache, clips, name, value):
    """
    The manifest of a run states the recipe's data, so the cache must be drawn from them.
    """
    recipe = cache_recipe(clips)
    other = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **{name: value}))

    with pytest.raises(ConfigError, match=rf"drawn with data\.{name} = .*but the recipe says"):
        CachedBatches(other, cache)


def test_the_commands_draw_and_label_a_cache(clips, teacher, tmp_path, capsys, monkeypatch):
    """
    `kws-train cache` and `soft-labels` work from the command line and show progress.
    """
    small = functools.partial(draw_cache.draw_cache, shard_clips=16)
    monkeypatch.setattr(draw_cache, "draw_cache", small)
    settings = recipes.to_table(cache_recipe(clips))["data"]
    out = tmp_path / "cache"
    overrides = [f"--set=data.{key}={settings[key]}" for key in ("clips", "speech")]
    overrides += ["--set=data.environment=", "--set=data.rooms="]
    overrides.append('--set=data.keywords=["yes", "no"]')

    assert 0 == train.main(["cache", "simple", *overrides, "--clips", "16", "--out", str(out)])
    assert 0 == train.main(["soft-labels", str(out), str(teacher.path)])

    shown = capsys.readouterr()
    assert "1 shard(s)" in shown.out
    assert "drawing: 1 of 1" in shown.err
    assert "soft labels of large: 1 of 1" in shown.err
    assert ("large",) == ClipCache.open(out).teachers
