"""Synthesised voices beside few recordings: which ones are used, and when there are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the schema of TFLite")

from kws import models
from kws.audio.files import read_file
from kws.spotter import KeywordSpotter
from training.cli.enroll import main as enroll
from training.datasets.synthetic_speech import drawn_voices
from training.embedding.heads import Examples
from training.enrolment.config import EnrolmentConfig
from training.enrolment.enrol import Enroller
from training.enrolment.recordings import align, read_recordings
from training.enrolment.voices import (
    ENOUGH_RECORDINGS,
    MAX_USED,
    VOICE_SHARE,
    add_voices,
    synthesise_voices,
)

SIZE = 16


def some(spoken: Path, n: int, folder: Path) -> Path:
    """Copy the first recordings of "computer" into a folder."""
    clips = folder / "clips" / "computer"
    clips.mkdir(parents=True)
    for path in sorted((spoken / "computer").iterdir())[:n]:
        shutil.copy(path, clips)
    return clips.parent


def test_similar_voices_are_used(rng):
    """
    Only similar voices join the positives of their word, as a fifth of them.
    """
    word = np.full(SIZE, 2.0)
    near = [np.float32(word + rng.normal(0, 1, (8, SIZE))) for _ in range(MAX_USED)]
    far = [np.float32(-word + rng.normal(0, 1, (8, SIZE))) for _ in range(30)]
    positives = np.float32(word + rng.normal(0, 1, (120, SIZE)))
    other = np.float32(rng.normal(0, 1, (60, SIZE)) + np.eye(SIZE)[0] * 6)
    negatives = np.float32(rng.normal(0, 1, (1_000, SIZE)))
    labels = np.repeat([0, 1], [120, 60])
    mixed = [*far[:15], *near, *far[15:]]

    examples = Examples(("lamp", "fan"), np.concatenate([positives, other]), labels, negatives)
    found, n_alike = add_voices(examples, [mixed, []])

    assert [MAX_USED, 0] == n_alike
    added = found.positives[found.labels == 0][120:]
    assert len(added) == round(120 * VOICE_SHARE / (1 - VOICE_SHARE))
    taken = np.concatenate(near)
    assert all(np.any(np.all(row == taken, axis=1)) for row in added)
    np.testing.assert_array_equal(positives, found.positives[found.labels == 0][:120])
    np.testing.assert_array_equal(other, found.positives[found.labels == 1])


def test_voices_that_say_another_word_are_not_used(rng):
    """
    The positives stay the same if no voice scores above the negatives.
    """
    word = np.full(SIZE, 2.0)
    far = [np.float32(-word + rng.normal(0, 1, (8, SIZE))) for _ in range(30)]
    positives = np.float32(word + rng.normal(0, 1, (120, SIZE)))
    negatives = np.float32(rng.normal(0, 1, (1_000, SIZE)))

    examples = Examples(("lamp",), positives, np.zeros(120, np.intp), negatives)
    found, n_alike = add_voices(examples, [far])

    np.testing.assert_array_equal(positives, found.positives)
    assert not found.labels.any()
    assert [0] == n_alike


@pytest.mark.slow
def test_voices_are_added_to_few_recordings(spoken, tmp_path, capsys):
    """
    The voices are kept and reported; files of a run with other settings are ignored.
    """
    clips = some(spoken, 2, tmp_path)
    mine = tmp_path / "my"
    stranger = mine / "voices" / "computer" / "espeak-of-another-run.wav"
    stranger.parent.mkdir(parents=True)
    shutil.copy(spoken / "banana" / "00.wav", stranger)

    arguments = ["computer", "--clips", str(clips), "--out", str(mine)]
    assert 0 == enroll([*arguments, "--voices", "20", "--copies", "20"])

    kept = {path.name for path in stranger.parent.iterdir()} - {stranger.name}
    assert kept == {voice.file for voice in drawn_voices(20, seed=1)}
    output = capsys.readouterr()
    assert f"{len(kept)} synthesised voices to choose from" in output.err
    n_alike = models.load(mine / "computer.json").training["synthesised_voices"]["computer"]
    assert 1 <= n_alike <= MAX_USED
    assert f"{n_alike} similar synthesised voices were used too" in output.out
    others = [*sorted((spoken / "banana").iterdir()), models.FIRMWARE_MODELS / "demo.wav"]
    assert sum(len(_hits(str(mine / "computer.json"), path)) for path in others) <= 2


@pytest.mark.slow
def test_voices_raise_the_scores_of_other_speakers(embedder, negatives, spoken, tmp_path):
    """
    One recording with twenty voices scores most other speakers higher than one recording alone.
    """
    found = read_recordings("computer", some(spoken, 1, tmp_path) / "computer")
    voices = synthesise_voices(found, tmp_path / "voices", n_voices=20, seed=1, tell=pytest.fail)
    enroller = Enroller(embedder, negatives, EnrolmentConfig(copies=12))
    windows = [
        one.window(n_samples=embedder.backbone.window_samples)
        for one in align(read_recordings("computer", spoken / "computer"), embedder)[1:]
    ]
    strangers = embedder.embed(windows)

    alone, helped = (
        enroller.enrol({"computer": found}, voices=beside, leave_out=False).head.logits(strangers)
        for beside in ({}, {"computer": voices})
    )

    assert np.mean(helped > alone) > 0.7


def _hits(model: str, audio: Path) -> list[str]:
    spotter = KeywordSpotter.from_model(model)
    found = [hit for block in read_file(audio) for hit in spotter.process(block)]
    return [hit.keyword for hit in found + spotter.process(np.zeros(24_000, np.int16))]


@pytest.mark.parametrize(("n_recordings", "n_voices"), [(ENOUGH_RECORDINGS, 10), (1, 0)])
def test_no_voices_for_many_recordings_or_on_request(spoken, tmp_path, n_recordings, n_voices):
    """
    Nothing is written for five recordings, or with 0 voices.
    """
    found = read_recordings("computer", some(spoken, n_recordings, tmp_path) / "computer")

    voices = synthesise_voices(
        found, tmp_path / "voices", n_voices=n_voices, seed=1, tell=pytest.fail
    )

    assert [] == voices
    assert not (tmp_path / "voices").exists()


def test_no_synthesiser_is_no_error(spoken, tmp_path, monkeypatch):
    """
    One line says what to install.
    """
    found = read_recordings("computer", some(spoken, 2, tmp_path) / "computer")
    monkeypatch.setenv("PATH", str(tmp_path))
    lines: list[str] = []

    voices = synthesise_voices(found, tmp_path / "voices", n_voices=60, seed=1, tell=lines.append)

    assert [] == voices
    assert lines == ["computer: only 2 recordings; install espeak-ng or flite to add voices"]


def test_a_failing_synthesiser_is_no_error(spoken, tmp_path, monkeypatch):
    """
    The recordings are used alone, and one line gives the reason.
    """
    found = read_recordings("computer", some(spoken, 2, tmp_path) / "computer")
    broken = tmp_path / "bin" / "espeak-ng"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/bin:/usr/bin")
    lines: list[str] = []

    voices = synthesise_voices(found, tmp_path / "voices", n_voices=9, seed=3, tell=lines.append)

    assert [] == voices
    (line,) = lines
    assert line.startswith("computer: no synthesised voices: espeak-")


def test_words_with_digits_have_no_voices(spoken, tmp_path):
    """
    Synthesisers and people may pronounce digits differently.
    """
    (one,) = read_recordings("computer", some(spoken, 1, tmp_path) / "computer")
    lines: list[str] = []

    voices = synthesise_voices(
        [type(one)("r2 d2", one.path, one.samples, one.middle)],
        tmp_path / "voices",
        n_voices=4,
        seed=1,
        tell=lines.append,
    )

    assert [] == voices
    assert lines == ["r2 d2: no synthesised voices, which take only letters, ' and -"]


def test_a_long_phrase_is_not_cut_off(spoken, tmp_path):
    """
    A voice may take longer than the second of a training clip.
    """
    (one,) = read_recordings("computer", some(spoken, 1, tmp_path) / "computer")
    phrase = "turn the television in the kitchen on"

    voices = synthesise_voices(
        [type(one)(phrase, one.path, one.samples, one.middle)],
        tmp_path / "voices",
        n_voices=4,
        seed=1,
        tell=pytest.fail,
    )

    assert 3 <= len(voices) <= 4
    assert min(len(voice.samples) for voice in voices) > 1.2 * 16_000
