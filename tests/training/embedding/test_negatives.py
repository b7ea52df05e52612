"""Negatives: windows, segments, and the file they are kept in."""

from __future__ import annotations

import numpy as np
import pytest

from kws.errors import ConfigError
from training.embedding.negatives import ARRAYS, Negatives

SIZE = 24
MOMENTS = 3


def small(rng, n: int = 30) -> Negatives:
    """Return a small bank of `n` runs, one to eight steps each."""
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


def test_a_bank_is_read_as_it_was_written(rng, tmp_path):
    """All of it comes back, what it is about as well."""
    written = small(rng)
    written.write(tmp_path / "bank.npz")

    read = Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)

    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(written, name), getattr(read, name))
    assert (MOMENTS, {"attribution": ["somebody"]}) == (read.moments, read.about)


def test_windows_are_steps_in_a_row_of_one_run(rng):
    """Each window is `moments` steps end to end, none reaches from one run into the next."""
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


def test_the_speech_of_a_bank_is_told_run_by_run(rng):
    """What was computed of all windows comes back as the runs of speech that have any."""
    negatives = small(rng)
    logits = np.arange(len(negatives), dtype=np.float32)

    found = negatives.speech_segments(logits)

    is_speech = negatives.kinds[negatives.segments] == 0
    np.testing.assert_array_equal(logits[is_speech], np.concatenate(found))
    assert len(np.unique(negatives.segments[is_speech])) == len(found)
    assert pytest.approx(is_speech.sum() * 0.08 / 3600) == negatives.speech_hours(0.08)


def test_banks_are_joined_run_behind_run(rng):
    """The windows of both, and no others."""
    one, other = small(rng), small(rng)

    joined = one.joined(other)

    wanted = np.concatenate([one.windows(), other.windows()])
    np.testing.assert_array_equal(wanted, joined.windows())


def test_the_word_itself_is_no_negative(rng):
    """A bank that holds recordings of the word loses them, in any case of letters."""
    assert {"", "fan"} == set(small(rng).without(["Lamp"]).labels)


def test_a_bank_of_another_backbone_is_refused(rng, tmp_path):
    """Embeddings of another network mean nothing to this one."""
    small(rng).write(tmp_path / "bank.npz")

    with pytest.raises(ConfigError, match="made with another backbone"):
        Negatives.read(tmp_path / "bank.npz", backbone="cd" * 32)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no archive"])
def test_a_damaged_bank_is_one_clear_error(tmp_path, content):
    """Half a file, or none, never ends in a traceback."""
    (tmp_path / "bank.npz").write_bytes(content)

    with pytest.raises(ConfigError, match="expected a file of negatives"):
        Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)
