"""The bank of clips: drawn once, resumable, taught by trained runs, trained on in passes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from kws.errors import ConfigError, KwsError
from training import fit as fits
from training import recipe as recipes
from training.bank import LABELS, SAMPLES, ClipBank, make_bank
from training.bank_batches import BankBatchMaker
from training.cli import train
from training.distillation import blended, teach
from training.features import FeatureMaker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
N_CLIPS = 48


def recipe_for(clips, **sections):
    table = {
        "name": "tiny",
        "data": {
            "clips": str(clips),
            "speech": "",
            "environment": "",
            "rooms": "",
            "keywords": ["yes", "no"],
        },
        "augmentation": {"gain_probability": 0.0, "n_time_masks": 0, "n_mel_masks": 0},
        "frontend": {"mean": -4.0, "std": 4.5},
        "model": {"params": {"stem_filters": 8, "blocks": [[8, 5, 1]], "head_filters": 8}},
        "fit": {"epochs": 1, "clips_per_epoch": 32, "batch_size": 16, "ema_momentum": 0.5},
        **sections,
    }
    return recipes.from_table(table, where="test")


@pytest.fixture(scope="module")
def clips(tmp_path_factory, write_tree):
    counts = {word: {"training": 6, "validation": 2} for word in ("yes", "no", "cat")}
    return write_tree(tmp_path_factory.mktemp("data") / "clips", counts, noise_s=20)


@pytest.fixture(scope="module")
def bank(clips, tmp_path_factory) -> ClipBank:
    out = tmp_path_factory.mktemp("bank") / "bank"
    assert list(make_bank(recipe_for(clips), out, n_clips=N_CLIPS, shard_clips=16))[-1] == (3, 3)
    return ClipBank.open(out)


@pytest.fixture(scope="module")
def teacher(clips, tmp_path_factory):
    """A run of two steps."""
    return fits.fit(recipe_for(clips), tmp_path_factory.mktemp("runs") / "large", verbose=0)


@pytest.fixture(scope="module")
def taught(bank, teacher) -> ClipBank:
    list(teach(bank, teacher, name="large"))
    return bank


def test_a_bank_holds_what_was_asked_for(bank):
    """
    Each shard has its clips as int16 samples, and a label that the recipe has for each.
    """
    samples, labels = bank.maps(SAMPLES), bank.maps(LABELS)

    assert [(16, 16_000)] * 3 == [part.shape for part in samples]
    assert {np.dtype(np.int16)} == {part.dtype for part in samples}
    assert {0, 1, 2, 3} >= set(np.concatenate(labels).tolist())
    assert N_CLIPS == len({clip.tobytes() for part in samples for clip in part})


def test_a_bank_goes_on_where_it_stopped(bank, clips, tmp_path):
    """
    A shard that is there stays untouched, a missing one comes out as it was.
    """
    wanted = bank.file(1, SAMPLES).read_bytes()
    kept = bank.file(0, SAMPLES).stat().st_mtime_ns
    bank.file(1, LABELS).unlink()

    with pytest.raises(ConfigError, match="1 of 3 shards are missing"):
        ClipBank.open(bank.path)
    steps = list(make_bank(recipe_for(clips), bank.path, n_clips=N_CLIPS, shard_clips=16))

    assert [(2, 3), (3, 3)] == steps
    assert wanted == bank.file(1, SAMPLES).read_bytes()
    assert kept == bank.file(0, SAMPLES).stat().st_mtime_ns


def test_a_bank_of_another_recipe_is_left_alone(bank, clips):
    """
    Drawing into a bank with other settings would mix two kinds of clips.
    """
    other = dataclasses.replace(recipe_for(clips), seed=5)

    with pytest.raises(ConfigError, match="bank of another recipe"):
        list(make_bank(other, bank.path, n_clips=N_CLIPS, shard_clips=16))


def test_a_pass_takes_each_clip_once(bank, clips):
    """
    Three batches of 16 are the 48 clips of the bank, in another order the next time.
    """
    recipe = recipe_for(clips, bank={"path": str(bank.path)})
    maker = BankBatchMaker(recipe, bank)
    first = np.concatenate([maker.make(0, step)[0] for step in range(3)])
    second = np.concatenate([maker.make(0, step)[0] for step in range(3, 6)])
    all_clips = np.concatenate(bank.maps(SAMPLES))
    wanted = FeatureMaker(recipe.frontend).windows(all_clips, n_frames=98)

    assert sorted(row.tobytes() for row in wanted) == sorted(row.tobytes() for row in first)
    assert sorted(row.tobytes() for row in first) == sorted(row.tobytes() for row in second)
    assert first.tobytes() != second.tobytes()


def test_a_teacher_says_what_its_network_predicts(taught, teacher):
    """
    The soft labels are the trained run's posteriors of the bank's very clips.
    """
    recipe = teacher.read_recipe()
    model = fits.build_model(recipe)
    model.load_weights(teacher.best)
    samples = np.concatenate(taught.maps(SAMPLES))
    windows = FeatureMaker(recipe.frontend).windows(samples, n_frames=98)

    said = np.concatenate(taught.maps("teacher-large"))

    assert ("large",) == taught.teachers
    np.testing.assert_allclose(said, model.predict(windows, verbose=0), atol=2e-3)


def test_targets_are_label_and_teacher_in_the_stated_parts(taught, clips):
    """
    With weight 0.75, three quarters of each target are the teacher's, one is the label's.
    """
    parts = {"path": str(taught.path), "teacher_weight": 0.75}
    soft = BankBatchMaker(recipe_for(clips, bank=parts), taught).make(0, 0)[1]
    hard = BankBatchMaker(recipe_for(clips, bank={"path": str(taught.path)}), taught).make(0, 0)[1]

    assert {0.0, 1.0} == set(np.unique(hard))
    assert ((soft * hard).sum(axis=1) >= 0.25).all()
    np.testing.assert_allclose(np.ones(16), soft.sum(axis=1), atol=2e-3)
    assert not np.allclose(hard, soft)
    np.testing.assert_allclose([[0.25, 0.75]], blended(*np.float32([[[1, 0]], [[0, 1]]]), 0.75))


def test_a_student_trains_on_a_taught_bank(taught, clips, tmp_path):
    """
    `fit` takes its batches from the bank, without drawing from the sources.
    """
    recipe = recipe_for(clips, bank={"path": str(taught.path), "teacher_weight": 0.5})
    run = fits.fit(recipe, tmp_path / "student", verbose=0)

    assert run.best.is_file()
    assert 1 == len(fits.read_history(run.history))


def test_a_bank_that_nobody_taught_cannot_teach(bank, clips, tmp_path):
    """
    Asked for teachers that are not there, training says what to do instead of going without.
    """
    recipe = recipe_for(
        clips, bank={"path": str(bank.path), "teacher_weight": 0.5, "teachers": ["nobody"]}
    )

    with pytest.raises(ConfigError, match="teach the bank with kws-train teach"):
        fits.fit(recipe, tmp_path / "student", verbose=0)
    assert not (tmp_path / "student").exists()


def test_a_teacher_must_have_the_banks_labels(bank, teacher, clips, tmp_path):
    """
    A run that knows other words is refused before it writes anything.
    """
    run = fits.fit(
        recipe_for(clips, data={**recipes.to_table(recipe_for(clips))["data"], "keywords": ["no"]}),
        tmp_path / "other",
        verbose=0,
    )

    with pytest.raises(KwsError, match="expected the labels of the bank"):
        list(teach(bank, run, name="other"))
    assert "other" not in bank.teachers


def test_the_commands_make_and_teach_a_bank(clips, teacher, tmp_path, capsys):
    """
    `kws-train bank` and `teach` do the same from the command line, and say how far they are.
    """
    settings = recipes.to_table(recipe_for(clips))["data"]
    out = tmp_path / "bank"
    overrides = [f"--set=data.{key}={settings[key]}" for key in ("clips", "speech")]
    overrides += ["--set=data.environment=", "--set=data.rooms="]
    overrides += ["--set=data.synthetic=", "--set=data.held_out_noise=[]"]
    overrides.append('--set=data.keywords=["yes", "no"]')

    assert 0 == train.main(["bank", "embedding", *overrides, "--clips", "16", "--out", str(out)])
    assert 0 == train.main(["teach", str(out), str(teacher.path)])
    shown = capsys.readouterr()

    assert "4096 clips, 1 shard(s)" in shown.out
    assert "drawing: 1 of 1" in shown.err
    assert ("large",) == ClipBank.open(out).teachers
