"""Synthesised words: real synthesisers, many voices."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

pytest.importorskip("soxr", reason="training needs the extra [eval]")

from kws.errors import MissingDependencyError
from training import synthesis
from training.cli import train

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
    assert "2 words, 6 clips each" in capsys.readouterr().out


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
