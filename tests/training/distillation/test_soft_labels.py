"""Teaching: what trained runs say of a cache's clips, and training on a cache with it."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_caches import cache_recipe, parts_of

from kws import KeywordSpotter, log_mel, models
from kws.errors import ConfigError, KwsError
from training.architectures.recipe_model import build_model
from training.batches.cached_batches import CachedBatches, blended, without_false_keywords
from training.batches.clip_cache import SAMPLES, ClipCache
from training.batches.features import FeatureMaker
from training.cli import train
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.distillation.soft_labels import teach, teach_by_model
from training.export import export as exports
from training.fit import trainer as fits
from training.fit.callbacks import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def teacher(clips, tmp_path_factory) -> RunFolder:
    """A run of two steps."""
    return fits.fit(cache_recipe(clips), tmp_path_factory.mktemp("runs") / "large", verbose=0)


@pytest.fixture(scope="module")
def taught(cache, teacher) -> ClipCache:
    """The cache, with what the teacher says."""
    list(teach(cache, teacher, name="large"))
    return cache


def test_a_teacher_says_what_its_network_predicts(taught, teacher):
    """
    The soft labels are the trained run's posteriors of the cache's very clips.
    """
    recipe = teacher.read_recipe()
    model = build_model(recipe)
    model.load_weights(teacher.best)
    samples = np.concatenate(parts_of(taught, SAMPLES))
    windows = FeatureMaker(recipe.frontend).windows(samples, n_frames=98)

    said = np.concatenate(parts_of(taught, "teacher-large"))

    assert ("large",) == taught.teachers
    np.testing.assert_allclose(said, model.predict(windows, verbose=0), atol=2e-3)


def test_a_name_stands_for_the_same_weights(taught, teacher, tmp_path):
    """
    Another run of that name is refused before it listens; the same run, elsewhere, is not.
    """
    shutil.copytree(teacher.path, tmp_path / "large")
    copied = RunFolder(tmp_path / "large")
    before = taught.file(0, "teacher-large").read_bytes()

    assert [(3, 3)] == list(teach(taught, copied, name="large"))
    with open(copied.best, "ab") as weights:
        weights.write(b"trained on")
    with pytest.raises(ConfigError, match=r"expected the weights of .* as 'large', got others"):
        list(teach(taught, copied, name="large"))
    assert before == taught.file(0, "teacher-large").read_bytes()


def test_a_bank_taught_before_weights_were_written_down_goes_on(taught, teacher):
    """
    Where there is no record, the run that comes is taken for the teacher and written down.
    """
    record = taught.path / "teacher-large.json"
    wanted = json.loads(record.read_text())
    record.unlink()

    assert [(3, 3)] == list(teach(taught, teacher, name="large"))
    assert wanted == json.loads(record.read_text())


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_a_finished_model_teaches_too(taught, teacher, tmp_path, capsys):
    """
    The int8 model of a run says of each clip what the runtime says of it, and what the run says
    but for quantization; it teaches under its own name, which then stands for its file.
    """
    path = exports.export(teacher, tmp_path / "models", name="finished")
    manifest = models.load(path)
    spotter = KeywordSpotter.from_model(path, mode="window")
    samples = np.concatenate(parts_of(taught, SAMPLES))

    assert 0 == train.main(["soft-labels", str(taught.path), str(path)])
    said = np.concatenate(parts_of(taught, "teacher-finished"))
    expected = [spotter.model.predict(log_mel(clip, manifest.frontend)[:98]) for clip in samples]

    assert "taught by finished" in capsys.readouterr().out
    np.testing.assert_allclose(expected, said, atol=0.02)
    np.testing.assert_allclose(np.concatenate(parts_of(taught, "teacher-large")), said, atol=0.1)
    content = (path.parent / manifest.window.file).read_bytes()
    (path.parent / manifest.window.file).write_bytes(content[:-1])
    with pytest.raises(KwsError, match=r"finished\.tflite: expected sha256 .* got"):
        list(teach_by_model(taught, manifest))
    (path.parent / manifest.window.file).write_bytes(content)
    record = taught.path / "teacher-finished.json"
    record.write_text(json.dumps({"run": "elsewhere", "weights_sha256": "0"}))
    with pytest.raises(ConfigError, match=r"expected the weights of elsewhere .* as 'finished'"):
        list(teach_by_model(taught, manifest))


def test_a_finished_model_must_have_the_banks_labels(cache):
    """
    A model that ships knows ten words and is refused for a cache of two.
    """
    with pytest.raises(KwsError, match=r"default\.json: expected the labels of the cache, yes, no"):
        list(teach_by_model(cache, models.load("default")))
    assert "default" not in cache.teachers


def test_targets_are_label_and_teacher_in_the_stated_parts(taught, clips):
    """
    With weight 0.75, three quarters of each target are the teacher's, one is the label's.
    """
    parts = {"path": str(taught.path), "teacher_weight": 0.75}
    soft = CachedBatches(cache_recipe(clips, cache=parts), taught).make(0, 0)[1]
    hard = CachedBatches(cache_recipe(clips, cache={"path": str(taught.path)}), taught).make(0, 0)[
        1
    ]

    assert {0.0, 1.0} == set(np.unique(hard))
    assert ((soft * hard).sum(axis=1) >= 0.25).all()
    np.testing.assert_allclose(np.ones(16), soft.sum(axis=1), atol=2e-3)
    assert not np.allclose(hard, soft)
    np.testing.assert_allclose([[0.25, 0.75]], blended(*np.float32([[[1, 0]], [[0, 1]]]), 0.75))


def test_a_false_keyword_of_a_teacher_is_not_believed():
    """
    In a clip without keyword its keywords go to the clip's label; in others nothing changes.
    """
    said = np.float32([[0.5, 0.25, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])
    labels = np.array([1, 2, 3])

    mended = without_false_keywords(said, labels, 2)

    expected = [[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.3, 0.7]]
    np.testing.assert_allclose(expected, mended, atol=1e-6)
    np.testing.assert_allclose([0.5, 0.5, 0.1], said[:, 0])


def test_no_target_of_a_clip_without_keyword_holds_one(taught, clips):
    """
    Whatever the teacher says of the cache's negatives, nothing of it is a keyword.
    """
    parts = {"path": str(taught.path), "teacher_weight": 0.75}
    bank_maker = CachedBatches(cache_recipe(clips, cache=parts), taught)
    hard_maker = CachedBatches(cache_recipe(clips, cache={"path": str(taught.path)}), taught)
    soft = np.concatenate([bank_maker.make(0, step)[1] for step in range(4)])
    hard = np.concatenate([hard_maker.make(0, step)[1] for step in range(4)])

    negative = hard[:, :2].sum(axis=1) == 0
    assert 3 <= negative.sum() < len(hard)
    np.testing.assert_array_equal(np.zeros((negative.sum(), 2)), soft[negative, :2])
    assert (soft[~negative, :2] > 0).all()


def test_a_student_trains_on_a_taught_bank(taught, clips, tmp_path):
    """
    `fit` takes its batches from the cache, without drawing from the sources.
    """
    recipe = cache_recipe(clips, cache={"path": str(taught.path), "teacher_weight": 0.5})
    run = fits.fit(recipe, tmp_path / "student", verbose=0)

    assert run.best.is_file()
    assert 1 == len(read_history(run.history))


def test_a_bank_that_nobody_taught_cannot_teach(cache, clips, tmp_path):
    """
    Asked for teachers that are not there, training says what to do instead of going without.
    """
    recipe = cache_recipe(
        clips, cache={"path": str(cache.path), "teacher_weight": 0.5, "teachers": ["nobody"]}
    )

    with pytest.raises(ConfigError, match="teach the cache with kws-train teach"):
        fits.fit(recipe, tmp_path / "student", verbose=0)
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("speech_split", "dev_clean"), ("held_out_noise", ("rain",))]
)
def test_a_bank_of_other_recordings_is_refused(cache, clips, name, value):
    """A run's manifest states what the recipe trains on, so the cache must be drawn from that."""
    recipe = cache_recipe(clips)
    other = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **{name: value}))
    with pytest.raises(ConfigError, match=rf"drawn with data\.{name} = .*but the recipe says"):
        CachedBatches(other, cache)


def test_a_teacher_must_have_the_banks_labels(cache, teacher, clips, tmp_path):
    """
    A run that knows other words is refused before it writes anything.
    """
    recipe = cache_recipe(clips, data={"keywords": ["no"]})
    run = RunFolder(tmp_path / "other")
    run.start(recipe)
    build_model(recipe).save_weights(run.best)

    with pytest.raises(KwsError, match="expected the labels of the cache"):
        list(teach(cache, run, name="other"))
    assert "other" not in cache.teachers


def test_a_teacher_that_is_nothing_is_told_before_anybody_listens(taught, teacher, capsys):
    """
    Neither a run's folder nor a model nor a published network: one line says what there is.
    """
    before = taught.teachers

    assert 1 == train.main(["soft-labels", str(taught.path), str(teacher.path), "nobody"])
    assert (
        "teacher 'nobody': expected the folder of a run, a model (default, large, tiny, "
        in capsys.readouterr().err
    )
    assert before == taught.teachers


def test_the_commands_make_and_teach_a_bank(clips, teacher, tmp_path, capsys):
    """
    `kws-train cache` and `teach` do the same from the command line, and say how far they are.
    """
    settings = recipes.to_table(cache_recipe(clips))["data"]
    out = tmp_path / "cache"
    overrides = [f"--set=data.{key}={settings[key]}" for key in ("clips", "speech")]
    overrides += ["--set=data.environment=", "--set=data.rooms="]
    overrides += ["--set=data.synthetic=", "--set=data.held_out_noise=[]"]
    overrides.append('--set=data.keywords=["yes", "no"]')

    assert 0 == train.main(["cache", "embedding", *overrides, "--clips", "16", "--out", str(out)])
    assert 0 == train.main(["soft-labels", str(out), str(teacher.path)])
    shown = capsys.readouterr()

    assert "4096 clips, 1 shard(s)" in shown.out
    assert "drawing: 1 of 1" in shown.err
    assert ("large",) == ClipCache.open(out).teachers
