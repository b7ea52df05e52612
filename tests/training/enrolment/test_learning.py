"""Heads and thresholds on made embeddings, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")

from kws.decision.policy import DetectionPolicy
from kws.errors import ConfigError
from training.embedding import fit_head as heads
from training.embedding.head import Head, Layer
from training.enrolment.calibration import Tail, peaks, smoothed
from training.enrolment.few_shot import n_firings
from training.enrolment.make_negatives import coarse
from training.enrolment.negatives import Negatives
from training.enrolment.word_model import SUPPRESSION_MS

SIZE = 24


def clusters(rng, n_words: int):
    """Return examples of words that lie apart from the rest, and fresh ones of each."""
    middles = rng.normal(0, 2.0, (n_words, SIZE))

    def drawn(n: int):
        return [middle + rng.normal(0, 1, (n, SIZE)) for middle in middles]

    positives, labels = heads.stacked([one.astype(np.float32) for one in drawn(20)])
    negatives = rng.normal(0, 1, (2_000, SIZE)).astype(np.float32)
    words = tuple(f"word{n}" for n in range(n_words))
    fresh = [one.astype(np.float32) for one in drawn(50)]
    return heads.Examples(words, positives, labels, negatives), fresh


@pytest.mark.parametrize("kind", sorted(heads.KINDS))
@pytest.mark.parametrize("n_words", [1, 3])
def test_each_head_tells_words_from_the_rest(rng, kind, n_words):
    """Nine of ten fresh ones lie above what all but one of a hundred negatives reach."""
    examples, fresh = clusters(rng, n_words)

    head = heads.KINDS[kind](examples)

    for number, embeddings in enumerate(fresh):
        level = np.percentile(head.logits(examples.negatives)[:, number], 99)
        assert np.mean(head.logits(embeddings)[:, number] > level) > 0.9


@pytest.mark.parametrize("kind", sorted(heads.KINDS))
def test_each_word_has_its_own_logit(rng, kind):
    """Of several words the right one is the likeliest."""
    examples, fresh = clusters(rng, 3)

    head = heads.KINDS[kind](examples)

    right = [np.mean(head.logits(one).argmax(axis=1) == n) for n, one in enumerate(fresh)]
    assert min(right) > 0.9


def test_a_calibrated_head_is_half_sure_at_its_threshold():
    """Moving the threshold to 0 makes the posterior there 1/2, and a gain makes it steeper."""
    head = Head(("lamp",), (Layer(np.eye(1, dtype=np.float32), np.zeros(1, np.float32)),))

    moved = head.calibrated(np.array([3.0], np.float32), np.array([2.0], np.float32))

    scores = moved.posteriors(np.array([[3.0], [4.0]], np.float32))[:, 0]
    np.testing.assert_allclose(scores, [0.5, 1 / (1 + np.exp(-2))], rtol=1e-5)


def seconds(rng, n: int) -> list[np.ndarray]:
    """Return pieces of ten seconds whose loud moments, one a second, lie on an exponential."""
    scores = np.full((n, 10, 10), -5.0, np.float32)
    scores[:, :, 4:6] = rng.exponential(0.7, (n, 10, 1))
    return list(scores.reshape(n, 100))


def test_the_tail_gives_the_rate_of_an_exponential(rng):
    """For events with an exponential tail the threshold makes the wanted rate, within a half."""
    threshold = Tail.of(seconds(rng, 1_000), hop_s=0.1).threshold(0.5)

    per_hour = 3600 * np.exp(-threshold / 0.7)
    assert 0.25 < per_hour < 1.0


def test_the_rate_is_that_of_its_threshold(rng):
    """Rate and threshold are each other's inverse."""
    tail = Tail.of(seconds(rng, 100), hop_s=0.1)

    assert pytest.approx(0.5) == tail.per_hour(tail.threshold(0.5))


def test_the_interval_holds_the_rate_and_grows_with_the_reach(rng):
    """Further out than anything was seen, less is known."""
    tail = Tail.of(seconds(rng, 200), hop_s=0.1)
    near, far = tail.threshold(50.0), tail.threshold(0.2)

    low, high = tail.interval(far)

    assert low < 0.2 < high
    assert high / low > tail.interval(near)[1] / tail.interval(near)[0]


def test_scores_are_held_against_thresholds_as_the_spotter_does():
    """Two hops are averaged; a piece of a single hop is that hop."""
    np.testing.assert_array_equal([1.0, 3.0], smoothed(np.array([0, 2, 4], np.float32)))
    np.testing.assert_array_equal([2.0], smoothed(np.array([2], np.float32)))


def test_a_piece_of_audio_has_a_peak_a_second():
    """A score that stays high within a second is one event; none is lost between two."""
    scores = np.zeros(31, np.float32)
    scores[[2, 3, 4, 30]] = [1, 2, 1, 5]

    np.testing.assert_array_equal([2, 0, 5], peaks(scores, 0.1))
    np.testing.assert_array_equal([2], peaks(scores[:6], 0.1))


@pytest.mark.parametrize("hop_s", [0.08, 0.1])
def test_a_study_counts_firings_as_the_policy_does(rng, hop_s):
    """Two peaks ten hops of 80 ms apart are two firings: the suppression of 0.8 s has ended."""
    peaks_apart = np.zeros(40, np.float32)
    peaks_apart[[3, 13, 20]] = 0.9
    pieces = [peaks_apart, *(rng.random((20, 200)) ** 8).astype(np.float32)]
    expected = []
    for scores in pieces:
        policy = DetectionPolicy(["word"], {"word": 0.5}, suppression_s=SUPPRESSION_MS / 1000)
        hops = enumerate(scores[:, None])
        expected.append(sum(policy.push(row, hop * hop_s) is not None for hop, row in hops))

    assert expected == [n_firings([one], 0.5, hop_s) for one in pieces]
    assert 2 == expected[0]


MOMENTS = 3


def bank(rng, n: int = 30) -> Negatives:
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
    written = bank(rng)
    written.write(tmp_path / "bank.npz")

    read = Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)

    for name in ("steps", "lengths", "kinds", "groups", "labels"):
        np.testing.assert_array_equal(getattr(written, name), getattr(read, name))
    assert (MOMENTS, {"attribution": ["somebody"]}) == (read.moments, read.about)


def test_windows_are_steps_in_a_row_of_one_run(rng):
    """Each window is `moments` steps end to end, none reaches from one run into the next."""
    negatives = bank(rng)
    wanted, runs, first = [], [], 0
    for run, length in enumerate(negatives.lengths):
        steps = negatives.steps[first : first + length]
        for begin in range(length - MOMENTS + 1):
            wanted.append(steps[begin : begin + MOMENTS].reshape(-1))
            runs.append(run)
        first += length

    np.testing.assert_array_equal(wanted, negatives.windows())
    np.testing.assert_array_equal(wanted, np.concatenate(list(negatives.chunks())))
    np.testing.assert_array_equal(runs, negatives.runs)
    np.testing.assert_array_equal([wanted[4], wanted[1]], negatives.windows(np.array([4, 1])))


def test_the_speech_of_a_bank_is_told_run_by_run(rng):
    """What was computed of all windows comes back as the runs of speech that have any."""
    negatives = bank(rng)
    logits = np.arange(len(negatives), dtype=np.float32)

    found = negatives.speech_runs(logits)

    is_speech = negatives.kinds[negatives.runs] == 0
    np.testing.assert_array_equal(logits[is_speech], np.concatenate(found))
    assert len(np.unique(negatives.runs[is_speech])) == len(found)
    assert pytest.approx(is_speech.sum() * 0.08 / 3600) == negatives.speech_hours(0.08)


def test_banks_are_joined_run_behind_run(rng):
    """The windows of both, and no others."""
    one, other = bank(rng), bank(rng)

    joined = one.joined(other)

    wanted = np.concatenate([one.windows(), other.windows()])
    np.testing.assert_array_equal(wanted, joined.windows())


def test_coarse_steps_are_near_and_few(rng):
    """Half a unit off at most, a handful of values, nothing beyond int8."""
    steps = np.clip(rng.normal(0, 24, (2_000, SIZE)), -128, 127).astype(np.int8)

    made = coarse(steps)

    assert np.int8 == made.dtype
    assert np.abs(made.astype(int) - steps).max() <= 13
    assert len(np.unique(made)) < 16


def test_the_word_itself_is_no_negative(rng):
    """A bank that holds recordings of the word loses them, in any case of letters."""
    assert {"", "fan"} == set(bank(rng).without(["Lamp"]).labels)


def test_a_bank_of_another_backbone_is_refused(rng, tmp_path):
    """Embeddings of another network mean nothing to this one."""
    bank(rng).write(tmp_path / "bank.npz")

    with pytest.raises(ConfigError, match="made by another backbone"):
        Negatives.read(tmp_path / "bank.npz", backbone="cd" * 32)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no archive"])
def test_a_damaged_bank_is_one_clear_error(tmp_path, content):
    """Half a file, or none, never ends in a traceback."""
    (tmp_path / "bank.npz").write_bytes(content)

    with pytest.raises(ConfigError, match="expected a bank of negative embeddings"):
        Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)
