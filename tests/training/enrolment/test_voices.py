"""Synthesised voices beside few recordings: which of them teach, and when there are none."""

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


def test_the_voices_that_sound_like_the_recordings_are_taken(rng):
    """
    Of voices near and far only near ones join the positives of their word, a fifth of all.
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


def test_what_the_recordings_do_not_know_teaches_nothing(rng):
    """
    Where every voice says another word, none of them is taken.
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


def test_a_word_of_few_recordings_is_taught_by_voices_too(spoken, tmp_path, capsys):
    """
    The voices are kept and told; those of an earlier run with other settings are left alone.
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
    said = capsys.readouterr()
    assert f"{len(kept)} synthesised voices to choose from" in said.err
    n_alike = models.load(mine / "computer.json").training["synthesised_voices"]["computer"]
    assert 1 <= n_alike <= MAX_USED
    assert f"{n_alike} similar synthesised voices were used too" in said.out
    others = [*sorted((spoken / "banana").iterdir()), models.FIRMWARE_MODELS / "demo.wav"]
    assert sum(len(_hits(str(mine / "computer.json"), path)) for path in others) <= 2


def test_voices_bring_strangers_nearer(embedder, negatives, spoken, tmp_path):
    """
    A head that one recording and twenty voices taught hears most strangers better than it would.
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
def test_none_where_none_are_wanted(spoken, tmp_path, n_recordings, n_voices):
    """
    Many recordings need no voices, and 0 is none: nothing is written.
    """
    found = read_recordings("computer", some(spoken, n_recordings, tmp_path) / "computer")

    voices = synthesise_voices(
        found, tmp_path / "voices", n_voices=n_voices, seed=1, tell=pytest.fail
    )

    assert [] == voices
    assert not (tmp_path / "voices").exists()


def test_without_a_synthesiser_the_recordings_teach_alone(spoken, tmp_path, monkeypatch):
    """
    It is told what would help, and nothing fails.
    """
    found = read_recordings("computer", some(spoken, 2, tmp_path) / "computer")
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []

    voices = synthesise_voices(found, tmp_path / "voices", n_voices=60, seed=1, tell=told.append)

    assert [] == voices
    assert told == ["computer: only 2 recordings; install espeak-ng or flite to add voices"]


def test_a_synthesiser_that_fails_harms_nothing(spoken, tmp_path, monkeypatch):
    """
    The recordings teach alone, and it is told why.
    """
    found = read_recordings("computer", some(spoken, 2, tmp_path) / "computer")
    broken = tmp_path / "bin" / "espeak-ng"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/bin:/usr/bin")
    told: list[str] = []

    voices = synthesise_voices(found, tmp_path / "voices", n_voices=9, seed=3, tell=told.append)

    assert [] == voices
    (line,) = told
    assert line.startswith("computer: no synthesised voices: espeak-")


def test_a_word_that_cannot_be_spelt_out_has_no_voices(spoken, tmp_path):
    """
    A digit is said in one way by a synthesiser, and in another by people.
    """
    (one,) = read_recordings("computer", some(spoken, 1, tmp_path) / "computer")
    told: list[str] = []

    voices = synthesise_voices(
        [type(one)("r2 d2", one.path, one.samples, one.middle)],
        tmp_path / "voices",
        n_voices=4,
        seed=1,
        tell=told.append,
    )

    assert [] == voices
    assert told == ["r2 d2: no synthesised voices, which take only letters, ' and -"]


def test_a_long_phrase_is_not_cut_off(spoken, tmp_path):
    """
    A voice may take longer than the second that clips for training have.
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
