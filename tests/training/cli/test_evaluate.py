"""`kws-eval` on the demo recording and clips cut from it."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from support.report_material import DEMO, TRUTH, run

from kws import models
from training.cli.evaluate import main
from training.evaluation.clips import clips_to_score


@pytest.fixture
def clip_folder(material, tmp_path):
    """Return clips of the demo recording, one folder per label."""
    return shutil.copytree(material / "clips", tmp_path / "clips")


def test_stream_scores_the_demo_recording(capsys, tmp_path):
    """
    The shipped model detects every word of the demo and nothing else.
    """
    code, report = run(
        capsys, "stream", "--model", "default", "--audio", DEMO.parent, "--truth", TRUTH,
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert 0 == code
    assert (10, 10, 0) == (report["events"], report["hits"], report["false_accepts"])
    assert 0.0 == report["false_reject_rate"]
    assert report["hours"] == pytest.approx(soundfile.info(DEMO).duration / 3600)
    assert -0.5 < report["latency_s"]["median"] < 1.0
    assert {"threshold", "false_reject_rate", "false_accepts_per_hour"} == set(report["curve"][0])
    assert {"curve.png", "errors.csv"} == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_stream_is_scored_at_the_hop_of_the_model(capsys, eight_frame_model):
    """
    Without --hop-ms a model of 80 ms runs streaming; with it, at the given hop.
    """
    options = ("stream", "--model", eight_frame_model, "--audio", DEMO, "--truth", TRUTH)

    reports = [run(capsys, *options)[1], run(capsys, *options, "--hop-ms", 100)[1]]

    assert [("stream", 80), ("window", 100)] == [
        (report["mode"], report["hop_ms"]) for report in reports
    ]
    assert all(report["hits"] >= 9 for report in reports)


def test_clips_counts_every_clip_without_a_split(capsys, tmp_path, clip_folder):
    """
    One folder per label: accuracy, figures per label, confusion, pictures and predictions.
    """
    code, report = run(
        capsys, "clips", "--model", "default", "--data", clip_folder, "--out", tmp_path / "out"
    )

    with open(tmp_path / "out" / "predictions.csv", newline="") as handle:
        predictions = list(csv.DictReader(handle))
    right = sum(row["label"] == row["predicted"] for row in predictions)
    assert 0 == code
    assert 11 == report["n"] == len(predictions)
    assert report["accuracy"] == pytest.approx(right / 11)
    assert report["accuracy"] > 0.8
    assert np.trace(report["confusion"]) == right
    assert 1 == report["per_label"]["_silence_"]["n"]
    assert (tmp_path / "out" / "confusion.png").read_bytes()[:4] == b"\x89PNG"


def test_folder_of_another_word_counts_as_unknown(capsys, clip_folder):
    """
    A folder whose name is no label of the model counts as `_unknown_`.
    """
    (clip_folder / "yes").rename(clip_folder / "banana")

    _, report = run(capsys, "clips", "--model", "default", "--data", clip_folder)

    assert 1 == report["per_label"]["_unknown_"]["n"]
    assert 0 == report["per_label"]["yes"]["n"]


def test_clip_says_right_or_wrong_and_draws(capsys, tmp_path, clip_folder):
    """
    One clip: posterior of every label, a verdict against the label given, a picture.
    """
    clip = next((clip_folder / "yes").iterdir())
    picture = tmp_path / "clip.png"

    _, right = run(capsys, "clip", clip, "--model", "default", "--label", "yes", "--out", picture)
    _, wrong = run(capsys, "clip", clip, "--model", "default", "--label", "no", "--out", picture)

    assert ("yes", True, False) == (right["predicted"], right["right"], wrong["right"])
    assert 1.0 == pytest.approx(sum(right["posterior"].values()), abs=0.05)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_made_stream_is_scored(capsys, tmp_path, clip_folder, rng):
    """
    `make-stream` builds audio and truth that `stream` takes as they are.
    """
    noise = (rng.standard_normal(40 * 16_000) * 100).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    _, made = run(
        capsys, "make-stream", "--clips", clip_folder, "--background", tmp_path / "noise.wav",
        "--snr-db", 20, "--per-minute", 15, "--out", tmp_path / "s",
    )  # fmt: skip

    _, report = run(
        capsys, "stream", "--model", "default", "--audio", tmp_path / "s",
        "--truth", tmp_path / "s" / "truth.csv",
    )  # fmt: skip

    assert made["events"] == report["events"] >= 6
    assert report["hits"] >= report["events"] - 2


def test_audio_folder_without_audio_is_one_line(capsys, tmp_path):
    """
    A folder without audio is a one-line error.
    """
    code = main(["stream", "--model", "default", "--audio", str(tmp_path), "--truth", str(TRUTH)])

    assert 1 == code
    assert "expected audio files, found none" in capsys.readouterr().err


def test_report_is_a_table_of_models(capsys):
    """
    `report` writes one Markdown row a model.
    """
    assert 0 == main(["report"])

    assert f"| default {models.load('default').version} |" in capsys.readouterr().out


@pytest.mark.data
def test_validation_split_is_balanced(kws_data):
    """
    With --split unknown and silence are about as many as one keyword.
    """
    manifest = models.load("default")
    labels = manifest.labels
    chosen = clips_to_score(manifest, kws_data / "speech_commands", split="validation", seed=2018)

    counts = {label: sum(clip.label == label for clip in chosen) for label in labels}
    mean = sum(counts[label] for label in labels[:10]) / 10
    assert counts["_unknown_"] == counts["_silence_"] == round(mean)
    assert min(counts.values()) > 40


def test_evaluation_needs_no_tensorflow():
    """
    Everything behind kws-eval imports without TensorFlow or Keras.
    """
    code = (
        "import sys, training.evaluation.clip_report, training.tuning.tune_report\n"
        "import training.evaluation.test_audio, training.report.measure, training.report.page\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert "[]" == done.stdout.strip()
