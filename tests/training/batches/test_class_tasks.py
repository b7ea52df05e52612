"""Plain classification from the data to the report: trained, resumed, exported, scored, drawn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import soundfile
from support.sound_trees import SOUNDS, write_esc50

from kws.manifest import read_manifest
from training.cli import evaluate, train
from training.fit.callbacks import read_history

# Slow to import and to convert: a machine under load needs its time.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # TensorFlow's own, about its converter's default and its old interpreter.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
RECIPE = "esc10-maxpool4"
SMALL = ["fit.warmup_epochs=0.5", "fit.ema_momentum=0", "model.params.filters=[4, 8]"]
EXPORT = ["export.max_accuracy_loss=1.0", "export.calibration_clips=12"]


def run(main, *arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def settings(root: Path, *more: str) -> list[str]:
    """Return the shipped recipe's changes: another tree, all its classes, a small network."""
    changes = [f'data.clips="{root}"', "data.classes=[]", *SMALL, *EXPORT, *more]
    return [part for change in changes for part in ("--set", change)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """ESC-50's own layout with four classes, none of them ESC-10's recipe's names but two."""
    return write_esc50(tmp_path_factory.mktemp("data") / "ESC-50-master")


@pytest.fixture(scope="module")
def trained(tree, tmp_path_factory) -> Path:
    """A run of the shipped recipe on that tree: interrupted after an epoch of two, gone on with."""
    out = tmp_path_factory.mktemp("runs") / "sounds"
    changes = settings(tree, "fit.epochs=2")
    with pytest.MonkeyPatch.context() as patch:
        import keras

        from training.fit import trainer as fits

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = True

        its_callbacks = fits.make_callbacks
        patch.setattr(fits, "make_callbacks", lambda *given: [*its_callbacks(*given), Stop()])
        patch.setattr(fits, "_score", lambda *given: None)
        assert 0 == run(train.main, "fit", RECIPE, "--out", out, *changes)
    assert 1 == len(read_history(out / "history.csv"))
    assert 0 == run(train.main, "fit", RECIPE, "--out", out, "--resume", *changes)
    return out


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    """The manifest of the int8 model."""
    out = tmp_path_factory.mktemp("models")
    assert 0 == run(train.main, "export", trained, "--out", out, "--name", "sounds")
    return out / "sounds.json"


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_run_tells_what_it_took_from_the_data(trained):
    """
    Labels of the tree, an epoch over its 24 training clips, and its own mean and std.
    """
    recipe = json.loads((trained / "recipe.json").read_text())

    assert sorted(SOUNDS) == recipe["data"]["classes"]
    assert 32 == recipe["fit"]["clips_per_epoch"]
    assert recipe["frontend"]["mean"] != 0.0
    assert 0.5 < recipe["frontend"]["std"] < 10
    assert [0, 1] == [row["epoch"] for row in read_history(trained / "history.csv")]


def test_the_run_is_scored_on_validation_and_test(trained):
    """
    Accuracy, precision, recall and F1 of both splits agree with the table of predictions.
    """
    scores = json.loads((trained / "scores.json").read_text())

    assert ["validation", "testing"] == list(scores)
    for split, report in scores.items():
        rows = rows_of(trained / f"predictions-{split}.csv")
        right = sum(row["label"] == row["predicted"] for row in rows)

        assert 8 == report["n"] == len(rows)
        assert report["accuracy"] == pytest.approx(right / 8)
        assert {"precision", "recall", "f1"} == set(report["macro"])
        recalls = [row["recall"] for row in report["per_label"].values()]
        assert report["macro"]["recall"] == pytest.approx(np.mean(recalls))


def test_export_writes_a_model_of_five_seconds(exported, trained):
    """
    The manifest holds the classes, the window and the measured normalisation.
    """
    manifest = read_manifest(exported)
    frontend = json.loads((trained / "recipe.json").read_text())["frontend"]

    assert tuple(sorted(SOUNDS)) == manifest.labels
    assert (80_000, 249) == (manifest.window.window_samples, manifest.window.window_frames)
    assert (frontend["mean"], frontend["std"]) == (manifest.frontend.mean, manifest.frontend.std)
    assert 8 == manifest.metrics["n"]
    assert 24 in [counts["training_clips"] for counts in manifest.training["data"].values()]


def test_the_fold_is_scored_by_the_runtime(exported, tree, tmp_path, capsys):
    """
    `kws-eval clips --split testing` scores the test fold, and no other clip.
    """
    capsys.readouterr()
    code = run(
        evaluate.main, "clips", "--model", exported, "--data", tree, "--split", "testing",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip

    report = json.loads(capsys.readouterr().out)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert 0 == code
    assert (8, sorted(SOUNDS)) == (report["n"], report["labels"])
    assert {"5"} == {Path(row["file"]).name[0] for row in rows}
    assert ["file", "label", "predicted", *sorted(SOUNDS)] == list(rows[0])


def test_without_a_split_every_clip_of_the_models_classes_counts(exported, tree, tmp_path, capsys):
    """
    The table may hold other classes, too: they are passed over.
    """
    table = tree / "meta" / "more.csv"
    lines = (tree / "meta" / "esc50.csv").read_text()
    table.write_text(lines + f"{next((tree / 'audio').iterdir()).name},1,9,cat,False,1,A\n")
    capsys.readouterr()

    run(evaluate.main, "clips", "--model", exported, "--data", table, "--json")

    assert 40 == json.loads(capsys.readouterr().out)["n"]


def test_own_recordings_in_folders_can_be_scored(exported, tree, tmp_path, capsys):
    """
    A model trained from a table scores a tree with one folder per class.
    """
    for path in sorted((tree / "audio").iterdir())[:3]:
        samples, rate = soundfile.read(path)
        folder = tmp_path / "mine" / SOUNDS[int(path.stem.split("-")[3])]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path.name, samples[: 2 * rate], rate)
    capsys.readouterr()

    run(evaluate.main, "clips", "--model", exported, "--data", tmp_path / "mine", "--json")

    assert 3 == json.loads(capsys.readouterr().out)["n"]


def test_a_turn_of_cross_validation_trains_on_other_folds(tree, tmp_path):
    """
    `--set source.turn=1` tests fold 1 and validates fold 5; a class filter takes part.
    """
    out = tmp_path / "run"
    more = settings(tree, "fit.epochs=1", "source.turn=1", 'data.classes=["siren", "dog"]')

    assert 0 == run(train.main, "fit", RECIPE, "--out", out, *more)

    tested = rows_of(out / "predictions-testing.csv")
    validated = rows_of(out / "predictions-validation.csv")
    assert {"1"} == {Path(row["file"]).name[0] for row in tested}
    assert {"5"} == {Path(row["file"]).name[0] for row in validated}
    assert ["siren", "dog"] == list(tested[0])[3:]


def test_an_archive_trains_by_the_same_command(tmp_path, rng):
    """
    An `.npz` of floats at 8 kHz with labels of its own, split at random.
    """
    times = np.arange(8_000) / 8_000
    waves = np.stack([0.3 * np.sin(2 * np.pi * (300 + 900 * (i % 2)) * times) for i in range(20)])
    waves += rng.normal(0, 0.01, waves.shape)
    archive = tmp_path / "audio.npz"
    np.savez(archive, wav_vals=waves.astype(np.float32), label_vals=np.arange(20) % 2)
    out = tmp_path / "run"
    changes = [
        'source.kind="npz"', "source.sample_rate=8000", "fit.epochs=1", "data.classes=[]",
        f'data.clips="{archive}"', *SMALL,
    ]  # fmt: skip

    code = run(
        train.main, "fit", "folders-random", "--out", out, "--set", 'model.name="maxpool4"',
        *(part for change in changes for part in ("--set", change)),
    )  # fmt: skip

    rows = rows_of(out / "predictions-validation.csv")
    assert 0 == code
    assert 4 == len(rows)
    assert rows[0]["file"].startswith("audio.npz/")
    assert ["0", "1"] == list(rows[0])[3:]
