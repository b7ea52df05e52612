"""Guided recording: utterances are cut out of running audio, and bad ones are repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="kws-enroll needs its extra")

from kws.errors import AudioError
from training.enrolment.guided_recording import BLOCK, NothingSaidError, one_utterance, record

RATE = 16_000


def room(seconds: float, level: float = 12.0) -> np.ndarray:
    """Return the faint noise of a room."""
    rng = np.random.default_rng(int(seconds * 1_000))
    return rng.normal(0, level, int(seconds * RATE))


def word(seconds: float = 0.6, level: float = 3_000.0) -> np.ndarray:
    """Return noise as loud as a word."""
    return np.random.default_rng(5).normal(0, level, int(seconds * RATE))


def blocks(*parts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield audio in blocks, as the microphone does."""
    samples = np.clip(np.concatenate(parts), -32_768, 32_767).astype(np.int16)
    for start in range(0, len(samples) - BLOCK + 1, BLOCK):
        yield samples[start : start + BLOCK]


def record_from(
    stream: Iterator[np.ndarray], folder: Path, n: int = 1, **more
) -> tuple[list, list[str]]:
    """Return the kept recordings and the lines for the user."""
    lines: list[str] = []
    keep = more.pop("keep", lambda recording: True)
    kept = record("lamp", folder, stream, n_recordings=n, say=lines.append, keep=keep)
    return kept, lines


def test_a_word_is_cut_out_with_room_around_it():
    """The whole word is kept, with 0.3 s before it and half a second after it."""
    said = one_utterance(blocks(room(1.5), word(0.6), room(1.5)))

    loud = np.flatnonzero(np.abs(said.astype(int)) > 300)
    assert loud[0] / RATE == pytest.approx(0.3, abs=0.08)
    assert (loud[-1] - loud[0]) / RATE == pytest.approx(0.6, abs=0.02)
    assert (len(said) - loud[-1]) / RATE == pytest.approx(0.5, abs=0.05)


def test_a_phrase_with_a_pause_is_one_utterance():
    """A pause of 0.3 s does not end it; the next word after a second is not in it."""
    said = one_utterance(blocks(room(1.0), word(0.4), room(0.3), word(0.4), room(1.0), word()))

    assert len(said) / RATE == pytest.approx(0.3 + 1.1 + 0.5, abs=0.15)


def test_a_click_is_no_word():
    """A sound of 20 ms is ignored."""
    with pytest.raises(NothingSaidError):
        one_utterance(blocks(room(1.0), word(0.02), room(3.0)), wait_s=2.0)


def test_silence_ends_in_an_error(tmp_path):
    """The user is asked five times, and nothing is written."""
    lines: list[str] = []

    with pytest.raises(AudioError, match="5 recordings in a row"):
        record(
            "lamp",
            tmp_path,
            blocks(room(70)),
            n_recordings=1,
            say=lines.append,
            keep=lambda r: True,
        )

    assert 4 == sum("no speech for 10 s" in line for line in lines)
    assert [] == list(tmp_path.iterdir())


def test_clipped_words_are_asked_for_again(tmp_path):
    """A distorted recording is reported, and the next good one replaces it."""
    stream = blocks(room(1), word(level=90_000), room(1), word(), room(1))

    kept, lines = record_from(stream, tmp_path)

    assert any("turn the microphone down" in line for line in lines)
    assert 1 == len(kept)
    samples, rate = soundfile.read(kept[0].path, dtype="int16")
    assert RATE == rate
    np.testing.assert_array_equal(samples, kept[0].samples)
    assert np.abs(samples.astype(int)).max() < 20_000


def test_a_recording_that_is_not_kept_is_not_written(tmp_path):
    """A rejected recording is repeated, and its file is never written."""
    answers = iter([False, True])

    kept, _ = record_from(
        blocks(room(1), word(), room(1), word(), room(1)), tmp_path, keep=lambda r: next(answers)
    )

    assert ["lamp-001.wav"] == [path.name for path in tmp_path.iterdir()]
    assert 1 == len(kept)


def test_later_recordings_are_added(tmp_path):
    """A second session adds files and overwrites none."""
    record_from(blocks(room(1), word(), room(1), word(), room(1)), tmp_path, 2)
    record_from(blocks(room(1), word(), room(1)), tmp_path)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert ["lamp-001.wav", "lamp-002.wav", "lamp-003.wav"] == names
