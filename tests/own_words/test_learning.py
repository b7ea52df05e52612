"""Heads and thresholds on made embeddings, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")

from kws.errors import ConfigError
from training.own_words import heads
from training.own_words.calibration import HOPS_PER_FALSE_ACCEPT, Tail
from training.own_words.few_shot import events
from training.own_words.head import Head, Layer
from training.own_words.negatives import Negatives

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


def test_the_tail_gives_the_rate_of_an_exponential(rng):
    """For scores with an exponential tail the threshold makes the wanted rate, within a third."""
    scores = rng.exponential(0.7, 40_000).astype(np.float32)

    threshold = Tail.of(scores).threshold(0.5)

    share = np.exp(-threshold / 0.7)
    per_hour = share * 36_000 / HOPS_PER_FALSE_ACCEPT
    assert 0.25 < per_hour < 1.0


def test_the_interval_holds_the_rate_and_grows_with_the_reach(rng):
    """Further out than anything was seen, less is known."""
    tail = Tail.of(rng.exponential(1.0, 20_000).astype(np.float32))
    near, far = tail.threshold(50.0), tail.threshold(0.2)

    low, high = tail.interval(far)

    assert low < 0.2 < high
    assert high / low > tail.interval(near)[1] / tail.interval(near)[0]


@pytest.mark.parametrize(
    ("scores", "n_events"),
    [
        ([0, 0, 0], 0),
        ([0.9, 0.9, 0.2], 1),
        ([0.9] + [0.0] * 8 + [0.9], 2),
        ([0.9] + [0.0] * 7 + [0.9], 1),
        ([0.4, 0.5, 0.4], 1),
    ],
)
def test_firings_are_counted_as_the_spotter_fires(scores, n_events):
    """At or above the threshold once, then not before 0.8 s of quiet."""
    assert n_events == events(np.array(scores, np.float32), 0.5, 0.1)


def bank(rng, n: int = 30) -> Negatives:
    """Return a small bank."""
    return Negatives(
        embeddings=rng.integers(-128, 128, (n, SIZE)).astype(np.int8),
        kinds=np.zeros(n, np.uint8),
        groups=np.arange(n, dtype=np.int16),
        speech_hours=0.25,
        labels=np.array(["", "lamp", "fan"] * (n // 3)),
        backbone="ab" * 32,
        about={"attribution": ["somebody"]},
    )


def test_a_bank_is_read_as_it_was_written(rng, tmp_path):
    """All of it comes back, what it is about as well."""
    written = bank(rng)
    written.write(tmp_path / "bank.npz")

    read = Negatives.read(tmp_path / "bank.npz", backbone="ab" * 32)

    for name in ("embeddings", "kinds", "groups", "labels"):
        np.testing.assert_array_equal(getattr(written, name), getattr(read, name))
    assert (0.25, {"attribution": ["somebody"]}) == (read.speech_hours, read.about)


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
