"""Negatives: windows, segments, and the file they are kept in."""

from __future__ import annotations

import numpy as np
import pytest

from kws.errors import ConfigError
from training.embedding.negatives import ARRAYS, Negatives

SIZE = 24
MOMENTS = 3


def small(rng, n: int = 30) -> Negatives:
    """Return negatives of `n` segments, one to eight steps each."""
    lengths = rng.integers(1, 9, n).astype(np.int32)
    return Negatives(
        steps=rng.integers(-128, 128, (lengths.sum(), SIZE)).astype(np.int8),
        lengths=lengths,
        kinds=np.array([0, 1, 2] * (n // 3), np.uint8),
        groups=np.arange(n, dtype=np.int16),
        labels=np.array(["", "lamp", "fan"] * (n // 3)),
        moments=MOMENTS,
        backbone="ab" * 32,
        about={"attribution": ["somebody"]},
    )


def test_a_file_is_read_as_it_was_written(rng, tmp_path):
    """All arrays and the provenance come back."""
    written = small(rng)
    written.write(tmp_path / "bank.npz")

    read = Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)

    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(written, name), getattr(read, name))
    assert (MOMENTS, {"attribution": ["somebody"]}) == (read.moments, read.about)


def test_windows_are_consecutive_steps_of_one_segment(rng):
    """Each window is `moments` steps, and none crosses into the next segment."""
    negatives = small(rng)
    wanted, runs, first = [], [], 0
    for run, length in enumerate(negatives.lengths):
        steps = negatives.steps[first : first + length]
        for begin in range(length - MOMENTS + 1):
            wanted.append(steps[begin : begin + MOMENTS].reshape(-1))
            runs.append(run)
        first += length

    np.testing.assert_array_equal(wanted, negatives.windows())
    np.testing.assert_array_equal(wanted, np.concatenate(list(negatives.chunks())))
    np.testing.assert_array_equal(runs, negatives.segments)
    np.testing.assert_array_equal([wanted[4], wanted[1]], negatives.windows(np.array([4, 1])))


def test_logits_are_split_by_speech_segment(rng):
    """The logits of all windows come back for each segment of speech."""
    negatives = small(rng)
    logits = np.arange(len(negatives), dtype=np.float32)

    found = negatives.speech_segments(logits)

    is_speech = negatives.kinds[negatives.segments] == 0
    np.testing.assert_array_equal(logits[is_speech], np.concatenate(found))
    assert len(np.unique(negatives.segments[is_speech])) == len(found)
    assert pytest.approx(is_speech.sum() * 0.08 / 3600) == negatives.speech_hours(0.08)


def test_negatives_are_joined(rng):
    """The windows of both, and no others."""
    one, other = small(rng), small(rng)

    joined = one.joined(other)

    wanted = np.concatenate([one.windows(), other.windows()])
    np.testing.assert_array_equal(wanted, joined.windows())


def test_the_word_itself_is_removed(rng):
    """Segments of the word are dropped, in any case of letters."""
    assert {"", "fan"} == set(small(rng).without(["Lamp"]).labels)


def test_negatives_of_another_backbone_are_refused(rng, tmp_path):
    """Embeddings of another network cannot be used."""
    small(rng).write(tmp_path / "bank.npz")

    with pytest.raises(ConfigError, match="made with another backbone"):
        Negatives.read(tmp_path / "bank.npz", backbone="cd" * 32)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no archive"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    """A truncated or foreign file is a ConfigError."""
    (tmp_path / "bank.npz").write_bytes(content)

    with pytest.raises(ConfigError, match="expected a file of negatives"):
        Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)
