"""`kws-enroll` from end to end: from recordings to a model that detects the word and no other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the schema of TFLite")

from kws import models
from kws.audio.files import read_file
from kws.spotter import KeywordSpotter
from training.cli.enroll import main as enroll

DEMO = models.FIRMWARE_MODELS / "demo.wav"


def detect(model: Path, audio: Path, **options) -> list[str]:
    """Return the keywords that a model detects in a file followed by silence."""
    spotter = KeywordSpotter.from_model(str(model), **options)
    found = [hit for block in read_file(audio) for hit in spotter.process(block)]
    found += spotter.process(np.zeros(24_000, np.int16))
    return [hit.keyword for hit in found]


@pytest.fixture(scope="module")
def enrolled(spoken, tmp_path_factory):
    """A model of "computer" from twelve voices; two voices are left for testing."""
    clips = tmp_path_factory.mktemp("clips") / "computer"
    clips.mkdir()
    for path in sorted((spoken / "computer").iterdir())[:12]:
        (clips / path.name).write_bytes(path.read_bytes())
    out = tmp_path_factory.mktemp("my")
    code = enroll(["computer", "--clips", str(clips), "--out", str(out), "--copies", "30"])
    assert code == 0
    return out


def test_the_word_is_detected_in_other_voices(enrolled, spoken):
    """Both test voices are detected once each, by both forms of the model."""
    for path in sorted((spoken / "computer").iterdir())[12:]:
        for mode in ("stream", "window"):
            assert ["computer"] == detect(enrolled / "computer.json", path, mode=mode)


def test_other_words_are_not_detected(enrolled, spoken):
    """Neither "banana" of fourteen voices nor the ten words of the demo fire."""
    for path in (*sorted((spoken / "banana").iterdir()), DEMO):
        assert [] == detect(enrolled / "computer.json", path)


def test_the_model_is_like_any_other(enrolled):
    """Manifest, both forms and report are written, nothing else, and the manifest is valid."""
    names = sorted(path.name for path in enrolled.iterdir())
    assert ["computer.json", "computer.stream.tflite", "computer.tflite", "report"] == names
    manifest = models.load(enrolled / "computer.json")
    assert ("computer",) == manifest.keywords
    assert manifest.stream is not None
    assert {"computer": 12} == manifest.training["recordings"]
    verdict = manifest.metrics["enrolment"]["computer"]
    assert 12 == verdict["left_out_tried"]
    report = (enrolled / "report" / "report.md").read_text(encoding="utf-8")
    assert "false accepts per hour" in report
    assert "![scores of computer](word-1.png)" in report
    assert (enrolled / "report" / "word-1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_words_of_default_stay_beside_it(spoken, tmp_path, capsys):
    """--add-to keeps the detections of the ten words and adds the new one."""
    code = enroll(
        [
            "computer",
            "--clips",
            str(spoken / "computer"),
            "--add-to",
            "default",
            "--out",
            str(tmp_path),
            "--copies",
            "20",
            # From synthesised voices alone the word fires on "left", also without --add-to.
            "--fa-per-hour",
            "0.1",
            "--json",
        ]
    )

    assert code == 0
    result = json.loads(capsys.readouterr().out)
    model = Path(result["model"])
    assert detect(models.find("default"), DEMO) == detect(model, DEMO)
    assert "computer" in detect(model, spoken / "computer" / "07.wav")
    assert 14 == result["words"]["computer"]["recordings"]


@pytest.mark.slow
def test_two_words_at_once(spoken, tmp_path, capsys):
    """Each of two words is detected as itself; the model's name joins them."""
    code = enroll(
        ["computer", "banana", "--clips", str(spoken), "--out", str(tmp_path), "--copies", "20"]
    )

    assert code == 0
    model = tmp_path / "computer-banana.json"
    for word in ("computer", "banana"):
        assert [word] == detect(model, spoken / word / "00.wav")
    assert "banana: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lamp", "--clips", "nowhere"], "found no folder"),
        (["lamp", "--clips", ".", "--backbone", "nothing"], "backbone 'nothing'"),
        (["yes", "--clips", ".", "--add-to", "default"], "it has yes already"),
        (["lamp", "--clips", ".", "--add-to", "nothing"], "model 'nothing'"),
        (["lamp", "--clips", ".", "--fa-per-hour", "0"], "--fa-per-hour: expected above 0"),
        (["lamp", "--clips", ".", "--copies", "0"], "--copies: expected at least 1"),
        (["lamp", "--clips", ".", "--voices", "-1"], "--voices: expected 0 or more"),
        (["lamp", "--synthesise", "0"], "--synthesise: expected at least 1, got 0"),
        (["lamp", "--synthesise", "5", "--voices", "9"], "--voices: adds voices to recordings"),
        (["../lamp", "--clips", "."], "expected a word or a phrase"),
        (["lamp", "--record", "0"], "--record: expected at least 1"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    """One line on stderr, exit code 1, and nothing is written."""
    monkeypatch.chdir(tmp_path)

    assert 1 == enroll([*arguments, "--out", str(tmp_path / "my")])

    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert 1 == sum("error:" in line for line in lines)
    assert not (tmp_path / "my").exists()


def test_a_silent_recording_is_named(spoken, tmp_path, capsys):
    """The error names the silent file among several."""
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "00.wav").write_bytes((spoken / "computer" / "00.wav").read_bytes())
    soundfile.write(clips / "1.wav", np.zeros(16_000, np.int16), 16_000)

    assert 1 == enroll(["computer", "--clips", str(clips), "--out", str(tmp_path / "my")])

    assert "1.wav: expected 'computer', got silence" in capsys.readouterr().err
    assert not (tmp_path / "my").exists()
