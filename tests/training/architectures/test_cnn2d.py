"""The network on spectrogram pictures: trained on PNG files, exported, run from audio."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

import soundfile

from kws import KeywordSpotter
from kws.features.frontends import ClipFeatures
from kws.manifest import read_manifest
from training.cli import evaluate, train
from training.config import recipe as recipes

# Slow to import and to convert: a machine under load needs its time.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
WORDS = ("bed", "cat")
SMALL = [
    'data.classes=["bed", "cat"]',
    "source.clips_per_class=0",
    "model.params.filters=[4, 8]",
    "model.params.dense=8",
    "fit.warmup_epochs=0.5",
    "fit.batch_size=8",
    "export.max_accuracy_loss=1.0",
    "export.calibration_clips=12",
]


def run(*arguments: object) -> int:
    return train.main([str(argument) for argument in arguments])


def sets(*changes: str) -> list[str]:
    """Return settings as arguments."""
    return [part for change in changes for part in ("--set", change)]


@pytest.fixture(scope="module")
def audio(tmp_path_factory, demo_audio) -> Path:
    """Two folders of a second of speech each, ten speakers."""
    root = tmp_path_factory.mktemp("data") / "words"
    starts = iter(range(0, len(demo_audio) - 16_000, 6_400))
    for word in WORDS:
        (root / word).mkdir(parents=True)
        for number in range(10):
            at = next(starts)
            path = root / word / f"speaker{number}_nohash_0.wav"
            soundfile.write(path, demo_audio[at : at + 16_000], 16_000)
    return root


@pytest.fixture(scope="module")
def changes(audio, tmp_path_factory) -> list[str]:
    """Changes to the shipped recipe: other clips, a small network, all picture augmentation."""
    pictures = tmp_path_factory.mktemp("pictures") / "words"
    own = [f'data.clips="{pictures}"', f'pictures.audio="{audio}"', *SMALL]
    assert 0 == run("pictures", "cnn2d-pictures-speaker", *sets(*own))
    return [*own, "pictures.flip_probability=0.5"]


@pytest.fixture(scope="module")
def trained(changes, tmp_path_factory) -> Path:
    """Two epochs of the recipe by speaker."""
    out = tmp_path_factory.mktemp("runs") / "pictures"
    assert 0 == run("fit", "cnn2d-pictures-speaker", "--out", out, *sets(*changes, "fit.epochs=2"))
    return out


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    """The manifest of the int8 model, which is fed by audio."""
    out = tmp_path_factory.mktemp("models")
    assert 0 == run("export", trained, "--out", out, "--name", "words")
    return out / "words.json"


def test_training_on_pictures_scores_and_predicts(trained):
    """
    Two epochs over the 16 training pictures; file, label, predicted and a score per class for the
    validation part.
    """
    recipe = json.loads((trained / "recipe.json").read_text())
    with open(trained / "predictions-validation.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    scores = json.loads((trained / "scores.json").read_text())["validation"]

    assert 16 == recipe["fit"]["clips_per_epoch"]
    assert (-10.0, 17.0) == (recipe["frontend"]["mean"], recipe["frontend"]["std"])
    assert ["file", "label", "predicted", *WORDS] == list(rows[0])
    assert {f"{word}" for word in WORDS} == {row["file"].split("/")[0] for row in rows}
    assert 4 == len(rows) == scores["n"]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert scores["accuracy"] == pytest.approx(right / 4)


def test_a_network_trained_on_pictures_runs_on_audio(exported, audio, trained):
    """
    The exported int8 model takes the runtime's frames and draws them itself. Its posteriors are
    within 0.05 of those that the trained network gave for the PNG file.
    """
    manifest = read_manifest(exported)
    spotter = KeywordSpotter.from_model(exported)
    (given,) = spotter.model.opened.inputs
    with open(trained / "predictions-validation.csv", newline="") as handle:
        for row in csv.DictReader(handle):
            samples, _ = soundfile.read(
                audio / Path(row["file"]).with_suffix(".wav"), dtype="int16"
            )
            found = spotter.model.predict(ClipFeatures(manifest.frontend)(samples))
            np.testing.assert_allclose(found, [float(row[word]) for word in WORDS], atol=0.05)

    assert (np.int8, (1, 98, 64)) == (given.dtype, given.shape)
    table = manifest.training["recipe"]
    assert ("folders", str(audio)) == (table["source"]["kind"], table["data"]["clips"])
    assert 0.5 == table["pictures"]["flip_probability"]
    assert 0 == table["augmentation"]["noise_probability"]


def test_it_is_scored_on_audio(exported, audio, capsys):
    """
    kws-eval clips splits the audio as the pictures were split.
    """
    capsys.readouterr()
    code = evaluate.main(
        ["clips", "--model", str(exported), "--data", str(audio), "--split", "validation", "--json"]
    )

    assert 0 == code
    assert 4 == json.loads(capsys.readouterr().out)["n"]


def test_keywords_are_spotted_through_a_picture(tmp_path, write_tree, demo_audio):
    """
    The recipe for twelve labels, trained for a step, exported to int8, run on speech: for chunks
    of any size, each hop's posterior is the model's on the runtime's frames of that second.
    """
    counts = {word: {"training": 4, "validation": 4} for word in ("yes", "no", "cat")}
    clips = write_tree(tmp_path / "clips", counts, noise_s=30)
    own = [
        f'data.clips="{clips}"', 'data.speech=""', 'data.environment=""', 'data.rooms=""',
        'data.keywords=["yes", "no"]', "model.params.filters=[4, 8]", "model.params.dense=8",
        "fit.epochs=1", "fit.clips_per_epoch=16", "fit.batch_size=8", "fit.ema_momentum=0.5",
        "export.max_accuracy_loss=1.0", "export.calibration_clips=16",
    ]  # fmt: skip
    assert 0 == run("fit", "cnn2d", "--out", tmp_path / "run", *sets(*own))
    assert 0 == run("export", tmp_path / "run", "--out", tmp_path / "models")

    spotter = KeywordSpotter.from_model(tmp_path / "models" / "cnn2d.json")
    posteriors: list[np.ndarray] = []
    spotter.on_posterior = lambda _, posterior, __: posteriors.append(posterior)
    for at in range(0, 48_000, 777):
        spotter.process(demo_audio[at : min(48_000, at + 777)])
    front_end = ClipFeatures(recipes.load("cnn2d").frontend)
    seconds = [demo_audio[at : at + 16_000] for at in range(0, 32_001, 1_600)]
    expected = [spotter.model.predict(front_end(second)) for second in seconds]

    assert ("yes", "no", "_unknown_", "_silence_") == spotter.manifest.labels
    np.testing.assert_array_equal(expected, posteriors)
