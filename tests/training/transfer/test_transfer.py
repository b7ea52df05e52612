"""`kws-train transfer` from folders of sound to a model that listens, with a tiny network."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="transfer needs the extra [train]")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="cutting needs ai-edge-litert")
from support.sound_trees import SOUNDS, write_esc50
from support.tiny_networks import RATE, TONES, WINDOW, listener

from kws.manifest import read_manifest
from kws.spotter import KeywordSpotter
from training.batches.task import open_task
from training.cli import evaluate, train
from training.config import recipe as recipes
from training.embedding.backbone_sources import open_backbone
from training.tflite.stream_export import ParityError
from training.transfer.embeddings import windows_of
from training.transfer.export import check_parity, export, predict
from training.transfer.pipeline import embed_recipe, fit_head, score

RECIPE = """
name = "sounds"
description = "Made sounds on a tiny network"
[data]
clips = "{clips}"
rooms = ""
[source]
kind = "csv"
split = "folds"
validation_folds = [3]
testing_folds = []
[transfer]
backbone = "{network}"
layers = ["block1/relu"]
windows = 3
inverse_penalty = 10.0
[decision]
smoothing_ms = 100
default_threshold = 0.4
"""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Four synthetic sounds in three folds, and a network that measures tone levels."""
    folder = tmp_path_factory.mktemp("sounds")
    write_esc50(folder / "esc", n_folds=3)
    (folder / "tiny.tflite").write_bytes(listener(rank=1))
    path = folder / "sounds.toml"
    path.write_text(RECIPE.format(clips=folder / "esc", network=folder / "tiny.tflite"))
    return path


@pytest.fixture(scope="module")
def run(sounds, tmp_path_factory):
    """The folder of one run with export; tests do not change it."""
    out = tmp_path_factory.mktemp("runs") / "sounds"
    assert 0 == train.main(["transfer", str(sounds), "--out", str(out), "--export"])
    return out


def predictions(folder) -> list[dict[str, str]]:
    """Return the table of the validation clips."""
    with open(folder / "predictions-validation.csv", newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


@pytest.fixture
def material(sounds, run):
    """The recipe and its clips as embeddings, from the run's cache."""
    recipe = recipes.load(str(sounds))
    backbone = open_backbone(recipe.transfer)
    return recipe, embed_recipe(recipe, backbone, cache=run.parent / "embeddings", progress=list)


def test_a_run_writes_scores_and_predictions(run):
    """
    Scores per label, the confusion matrix, and the predictions of each clip.
    """
    report = json.loads((run / "scores.json").read_text())["validation"]
    rows = predictions(run)

    assert sorted(SOUNDS) == report["labels"]
    assert 8 == report["n"] == len(rows)
    assert 1.0 == report["accuracy"] == report["per_label"]["hen"]["f1"]
    assert np.diag([2, 2, 2, 2]).tolist() == report["confusion"]
    assert all(row["label"] == row["predicted"] for row in rows)
    assert (run / "confusion-validation.png").stat().st_size > 1_000


def test_the_exported_model_listens(run):
    """
    The exported model detects its sound in samples; the manifest says that it is float.
    """
    manifest = read_manifest(run / "sounds.json")
    spotter = KeywordSpotter.from_model(run / "sounds.json", hop_ms=50)
    times = np.arange(2 * RATE) / RATE
    wave = 0.2 * np.sin(2 * np.pi * TONES[2] * times) + np.random.default_rng(1).normal(
        0, 3e-3, 2 * RATE
    )

    found = spotter.process((wave * 32_767).astype(np.int16)) + spotter.flush()

    assert {SOUNDS[2]} == {one.keyword for one in found}
    assert "Float32, not int8" in manifest.description
    assert WINDOW + 2 * (WINDOW // 2) == manifest.window.window_samples
    assert 1.0 == manifest.metrics["accuracy"]


def test_the_evaluation_takes_the_exported_model(sounds, run, capsys):
    """
    kws-eval clips on the same fold counts the same clips.
    """
    model, data = str(run / "sounds.json"), str(sounds.parent / "esc")
    assert 0 == evaluate.main(
        ["clips", "--model", model, "--data", data, "--split", "validation", "--json"]
    )

    report = json.loads(capsys.readouterr().out)
    assert (8, 1.0) == (report["n"], report["accuracy"])


def test_a_second_head_uses_the_cache(sounds, run, tmp_path):
    """
    Another head reads no audio; a changed clip is embedded again.
    """
    cache = run.parent / "embeddings"
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    command = ["transfer", str(sounds), "--out", str(tmp_path / "dense"), "--cache", str(cache)]

    assert 0 == train.main([*command, "--set", "transfer.head=dense"])
    after_head = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    clip = next((sounds.parent / "esc" / "audio").iterdir())
    state = clip.stat()
    os.utime(clip, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    try:
        assert 0 == train.main(command)
        after_clip = set(cache.iterdir())
    finally:
        os.utime(clip, ns=(state.st_atime_ns, state.st_mtime_ns))
    for path in after_clip - set(before):
        path.unlink()

    assert 1 == len(before)
    assert before == after_head
    assert 2 == len(after_clip)


def test_each_fold_is_validated_on_its_own(sounds, run, tmp_path, capsys):
    """
    Each fold has a folder and an accuracy, also for the exported models, and there is a mean.
    """
    out, cache = tmp_path / "folds", run.parent / "embeddings"
    command = ["transfer", str(sounds), "--out", str(out), "--cache", str(cache)]
    assert 0 == train.main([*command, "--folds", "--export", "--json"])

    said = json.loads(capsys.readouterr().out)
    assert ["1", "2", "3"] == list(said["folds"]) == list(said["exported_folds"])
    for fold, accuracy in said["folds"].items():
        rows = predictions(out / f"fold-{fold}")
        right = np.mean([row["label"] == row["predicted"] for row in rows])
        assert {fold} == {row["file"].split("/")[-1][0] for row in rows}
        assert right == accuracy
    assert said["mean"] == pytest.approx(np.mean(list(said["folds"].values())))
    assert said == json.loads((out / "folds.json").read_text())


@pytest.mark.parametrize("average", ["embeddings", "posteriors"])
def test_a_clip_of_several_windows_is_their_mean(material, average):
    """
    The mean of the embeddings, or of the posteriors.
    """
    recipe, known = material
    known = replace(known, average=average)
    head = fit_head(open_task(recipe), known)
    clip = known.clips[3]
    rows = known.rows([clip])[0]

    found = known.posteriors(head, [clip])

    assert (5 * RATE - WINDOW - 2 * (WINDOW // 2)) // (3 * (WINDOW // 2)) + 1 == len(rows)
    if average == "embeddings":
        expected = head.posteriors(rows.mean(axis=0, keepdims=True))
    else:
        expected = head.posteriors(rows).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(expected, found, atol=1e-6)


def test_a_model_that_differs_is_not_exported(material, run, tmp_path):
    """
    Every posterior is compared; nothing is written if one differs.
    """
    recipe, known = material
    full, head, _ = score(recipe, known, tmp_path / "scores")
    task = open_task(full)
    clips = task.clips("validation")
    posteriors, _ = predict(read_manifest(run / "sounds.json"), known, clips, short="pad")
    other = fit_head(task, known).calibrated(np.full(3, 2.0, np.float32), np.ones(3, np.float32))
    assert check_parity(full, known, head, posteriors, clips) < 1e-4

    with pytest.raises(ParityError, match=r"exported model within 0\.01 of the pipeline's, got 0"):
        check_parity(full, known, other, posteriors, clips)
    moved = replace(known, embeddings=replace(known.embeddings, rows=known.embeddings.rows * 2 + 1))
    with pytest.raises(ParityError):
        export(full, moved, head, tmp_path / "model")
    assert [] == list((tmp_path / "model").iterdir())


def test_wrong_recipes_and_options_are_one_line(sounds, tmp_path, capsys):
    """
    fit with a transfer recipe, --folds without folds, a recipe without a source, a missing
    backbone, and YAMNet without its file.
    """
    out = ["--out", str(tmp_path / "none")]
    cases = [
        (["fit", str(sounds), *out], "kws-train transfer sounds"),
        (["transfer", "simple", *out], "transfer.backbone: expected a backbone, got none"),
        (["transfer", str(sounds), *out, "--set", 'transfer.backbone="nothing"'], "got 'nothing'"),
        (
            ["transfer", str(sounds), *out, "--set", 'transfer.backbone="yamnet"'],
            "kws-train fetch yamnet",
        ),
        (
            ["transfer", str(sounds), *out, "--set", "source.split=random", "--folds"],
            "--folds needs source.split = 'folds'",
        ),
        (
            ["transfer", str(sounds), *out, "--set", 'source.kind=""'],
            "expected a recipe whose source.kind is folders, csv or npz",
        ),
    ]
    for arguments, message in cases:
        assert 1 == train.main(arguments)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("short", "expected"), [("pad", [1, 2, 3, 0, 0]), ("tile", [1, 2, 3, 1, 2])]
)
def test_a_short_clip_is_padded_or_repeated(short, expected):
    """
    The recipe says which.
    """
    clip = np.array([1, 2, 3], np.int16)

    found = windows_of(clip, n_samples=5, hop_samples=2, short=short)

    np.testing.assert_array_equal([expected], found)
    assert np.int16 == found.dtype


def test_an_empty_clip_is_silence():
    """
    There is nothing to repeat.
    """
    found = windows_of(np.zeros(0, np.int16), n_samples=3, hop_samples=1, short="tile")

    np.testing.assert_array_equal([[0, 0, 0]], found)


@pytest.mark.parametrize(
    ("n", "firsts"), [(5, [0]), (6, [0]), (7, [0, 2]), (8, [0, 2]), (9, [0, 2, 4])]
)
def test_a_long_clip_has_all_its_whole_windows(n, firsts):
    """
    Windows are one hop apart and centred in the clip.
    """
    found = windows_of(np.arange(n, dtype=np.int16), n_samples=5, hop_samples=2, short="pad")

    np.testing.assert_array_equal([np.arange(first, first + 5) for first in firsts], found)
