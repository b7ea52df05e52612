"""The bank of clips: drawn once, resumable, taught by trained runs, trained on in passes."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from kws.errors import ConfigError, KwsError
from training import bank as banks
from training import fit as fits
from training import recipe as recipes
from training.bank import LABELS, SAMPLES, ClipBank, make_bank, save_array
from training.bank_batches import BankBatchMaker
from training.cli import train
from training.distillation import blended, teach, without_false_keywords
from training.features import FeatureMaker
from training.run_folder import RunFolder

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


def parts_of(bank: ClipBank, kind: str) -> list[np.ndarray]:
    """Return the array of each shard."""
    return [np.load(bank.file(shard, kind)) for shard in range(bank.n_shards)]


def test_a_bank_holds_what_was_asked_for(bank):
    """
    Each shard has its clips as int16 samples, and a label that the recipe has for each.
    """
    samples, labels = parts_of(bank, SAMPLES), parts_of(bank, LABELS)

    assert [(16, 16_000)] * 3 == [part.shape for part in samples]
    assert {np.dtype(np.int16)} == {part.dtype for part in samples}
    assert {0, 1, 2, 3} >= set(np.concatenate(labels).tolist())
    np.testing.assert_array_equal(np.concatenate(labels), bank.read_labels())
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


def test_fewer_clips_do_not_shrink_a_bank(bank, clips):
    """
    Asked for one shard, a bank of three keeps all of its clips.
    """
    before = (bank.path / "bank.json").read_bytes()

    assert [(3, 3)] == list(make_bank(recipe_for(clips), bank.path, n_clips=16, shard_clips=16))
    assert before == (bank.path / "bank.json").read_bytes()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (["--clips", "0"], "--clips: expected at least 1, got 0"),
        (["--clips", "-5"], "--clips: expected at least 1, got -5"),
        (["--clips", "16", "--processes", "0"], "--processes: expected at least 1, got 0"),
    ],
)
def test_no_clips_and_no_processes_are_one_line(clips, tmp_path, capsys, numbers, message):
    """
    What cannot make a bank leaves no folder behind.
    """
    data = f"--set=data.clips={clips}"

    assert 1 == train.main(["bank", "default", data, *numbers, "--out", str(tmp_path / "bank")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "bank").exists()


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
    all_clips = np.concatenate(parts_of(bank, SAMPLES))
    wanted = FeatureMaker(recipe.frontend).windows(all_clips, n_frames=98)

    assert sorted(row.tobytes() for row in wanted) == sorted(row.tobytes() for row in first)
    assert sorted(row.tobytes() for row in first) == sorted(row.tobytes() for row in second)
    assert first.tobytes() != second.tobytes()


def test_a_bank_may_have_more_shards_than_files_may_be_open(clips, tmp_path, rng, monkeypatch):
    """
    With a few maps kept open, a batch over 64 shards is read where 40 files may be opened.
    """
    resource = pytest.importorskip("resource", reason="limits are those of Unix")
    recipe = recipe_for(clips)
    many = ClipBank(tmp_path, recipe, 64, 1)
    for shard in range(64):
        samples = rng.normal(0, 900, (1, 16_000)).astype(np.int16)
        save_array(many.file(shard, SAMPLES), samples)
        save_array(many.file(shard, LABELS), np.array([shard % 4], np.int16))
    monkeypatch.setattr(banks, "OPEN_SHARDS", 8)
    fit = dataclasses.replace(recipe.fit, batch_size=64)
    with open(tmp_path / "next", "w") as lowest:
        n_open = lowest.fileno()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 40, before[1]))
    try:
        maker = BankBatchMaker(dataclasses.replace(recipe, fit=fit), many)
        features, targets = maker.make(0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert 64 == len({row.tobytes() for row in features})
    assert [16, 16, 16, 16] == targets.sum(axis=0).tolist()


def test_a_teacher_says_what_its_network_predicts(taught, teacher):
    """
    The soft labels are the trained run's posteriors of the bank's very clips.
    """
    recipe = teacher.read_recipe()
    model = fits.build_model(recipe)
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
    Whatever the teacher says of the bank's negatives, nothing of it is a keyword.
    """
    parts = {"path": str(taught.path), "teacher_weight": 0.75}
    bank_maker = BankBatchMaker(recipe_for(clips, bank=parts), taught)
    hard_maker = BankBatchMaker(recipe_for(clips, bank={"path": str(taught.path)}), taught)
    soft = np.concatenate([bank_maker.make(0, step)[1] for step in range(4)])
    hard = np.concatenate([hard_maker.make(0, step)[1] for step in range(4)])

    negative = hard[:, :2].sum(axis=1) == 0
    assert 3 <= negative.sum() < len(hard)
    np.testing.assert_array_equal(np.zeros((negative.sum(), 2)), soft[negative, :2])
    assert (soft[~negative, :2] > 0).all()


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


@pytest.mark.parametrize(
    ("name", "value"), [("speech_split", "dev_clean"), ("held_out_noise", ("rain",))]
)
def test_a_bank_of_other_recordings_is_refused(bank, clips, name, value):
    """A run's manifest states what the recipe trains on, so the bank must be drawn from that."""
    recipe = recipe_for(clips)
    other = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **{name: value}))
    with pytest.raises(ConfigError, match=rf"drawn with data\.{name} = .*but the recipe says"):
        BankBatchMaker(other, bank)


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


def test_a_recipe_of_plain_classes_has_no_bank(clips, tmp_path):
    """
    A bank holds keywords: other recipes are refused before anything is written.
    """
    recipe = recipe_for(clips, source={"kind": "folders"})

    with pytest.raises(ConfigError, match="recipe tiny: a bank holds keywords, not plain classes"):
        next(make_bank(recipe, tmp_path / "bank", n_clips=16))
    assert not (tmp_path / "bank").exists()


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
