"""Synthesised words: real synthesisers, many voices."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

pytest.importorskip("soxr", reason="training needs the extra [eval]")

from kws.errors import AudioError, MissingDependencyError
from training.cli import train
from training.datasets import synthetic_speech as synthesis

needs_synthesiser = pytest.mark.skipif(
    not (shutil.which("espeak-ng") or shutil.which("flite")),
    reason="no synthesiser: apt install espeak-ng flite",
)


@needs_synthesiser
def test_words_come_in_many_voices(tmp_path, capsys):
    """
    Every clip is the word at 16 kHz, at most a second of it, in a voice of its own.
    """
    assert 0 == train.main(["synthesise", "yes", "no", "--clips", "6", "--out", str(tmp_path)])
    paths = sorted(tmp_path.glob("*/*.wav"))

    assert {"yes", "no"} == {path.parent.name for path in paths}
    assert 12 == len(paths)
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16")
        assert 16_000 == rate
        assert 2_000 < len(samples) <= 16_000
        assert np.abs(samples).max() > 1_000
    assert "12 clips of 2 words" in capsys.readouterr().out


@needs_synthesiser
def test_clips_are_counted_as_they_lie_there(tmp_path, capsys):
    """
    A word named twice, and clips of an earlier call, do not make the count another one.
    """
    list(synthesis.synthesise(["go"], tmp_path, n_clips=3))

    assert 0 == train.main(["synthesise", "go", "go", "--clips", "2", "--out", str(tmp_path)])
    n_clips = len(list(tmp_path.glob("go/*.wav")))
    assert f"{n_clips} clips of 1 words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "-x"], "got '-x'"),
        (["../evil"], "got '../evil'"),
        (["it's", "a.b"], "got 'a.b'"),
        (["don'"], 'got "don\'"'),
        ([""], "got ''"),
        (["yes", "--clips", "0"], "--clips: expected at least 1, got 0"),
        (["yes", "--clips", "-3"], "--clips: expected at least 1, got -3"),
    ],
)
def test_what_is_no_word_is_one_line(tmp_path, capsys, arguments, message):
    """
    A word is an argument and a folder's name: options, paths and nothing at all are refused.
    """
    out = tmp_path / "out"

    assert 1 == train.main(["synthesise", "--out", str(out), *arguments])
    error = capsys.readouterr().err
    assert (1, True) == (error.count("\n"), message in error)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [("sh", "-c", "exit 3"), ("sh", "-c", "echo no audio"), ("sleep",), ("/nowhere/speak",)],
)
def test_a_synthesiser_that_fails_is_named(monkeypatch, command):
    """
    A failure, other output, and none in time are one clear error with voice and word.
    """
    monkeypatch.setattr(synthesis, "TIMEOUT_S", 0.5)
    voice = synthesis.Voice("espeak-odd", command)
    word = "30" if command == ("sleep",) else "yes"

    with pytest.raises(AudioError, match=f"espeak-odd: expected '{word}' as WAV, got: "):
        synthesis.say(voice, word)


@needs_synthesiser
def test_clips_that_are_there_stay(tmp_path):
    """
    A second call with the same seed adds nothing and touches nothing.
    """
    list(synthesis.synthesise(["go"], tmp_path, n_clips=3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.wav")}
    list(synthesis.synthesise(["go"], tmp_path, n_clips=3))

    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.wav")}
    assert 3 == len(before)


def test_without_a_synthesiser_it_says_what_to_install(monkeypatch, tmp_path):
    """
    Neither program on the path is one clear line, not an empty folder of clips.
    """
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingDependencyError, match="apt install espeak-ng flite"):
        next(synthesis.voices(np.random.default_rng(1)))
