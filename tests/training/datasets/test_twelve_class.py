"""Which clips an evaluation counts."""

from __future__ import annotations

from collections import Counter

import pytest
import soundfile

from kws.errors import ConfigError
from training.datasets import twelve_class as protocol

LABELS = ("yes", "no", "_unknown_", "_silence_")


@pytest.fixture
def root(word_tree):
    """Keywords with 12 and 8 validation clips, three other words, a minute of noise."""
    counts = {
        "yes": {"training": 3, "validation": 12},
        "no": {"training": 3, "validation": 8},
        "bed": {"training": 3, "validation": 2},
        "bird": {"training": 3, "validation": 9},
        "cat": {"training": 3, "validation": 9},
    }
    return word_tree(counts, noise_s=60)


def test_unknown_and_silence_are_as_many_as_a_keyword_on_average(root):
    """
    Every keyword clip of the split counts; unknown and silence are their mean number.
    """
    clips = protocol.balanced_split(root, LABELS, "validation")

    assert Counter(clip.label for clip in clips) == {
        "yes": 12,
        "no": 8,
        "_unknown_": 10,
        "_silence_": 10,
    }
    assert all(clip.path.name.startswith("va") for clip in clips if clip.label != "_silence_")


def test_unknown_is_drawn_evenly_from_the_other_words(root):
    """
    Each other word gives as many as the next while it has clips; none is drawn twice.
    """
    clips = protocol.balanced_split(root, LABELS, "validation")
    unknown = [clip.path for clip in clips if clip.label == "_unknown_"]
    words = Counter(path.parent.name for path in unknown)

    assert len(set(unknown)) == 10
    assert words == {"bed": 2, "bird": 4, "cat": 4}


def test_silence_comes_from_the_splits_part_of_the_noise(root):
    """
    A second each, from the part of the recording that the split owns, at volumes of 0..1.
    """
    n_samples = soundfile.info(str(root / "_background_noise_" / "hiss.wav")).frames
    clips = protocol.balanced_split(root, LABELS, "validation")
    silence = [clip for clip in clips if clip.label == "_silence_"]

    assert {clip.n_samples for clip in silence} == {16_000}
    assert all(clip.start >= 0.8 * n_samples for clip in silence)
    assert all(clip.start + 16_000 <= 0.9 * n_samples for clip in silence)
    assert all(0 <= clip.gain <= 1 for clip in silence)
    assert len({clip.gain for clip in silence}) == 10
    assert {len(clip.read()) for clip in silence} == {16_000}


def test_labels_without_unknown_and_silence_get_none(root):
    """
    A model that knows keywords only is scored on keywords only.
    """
    clips = protocol.balanced_split(root, ("yes", "no"), "validation")

    assert Counter(clip.label for clip in clips) == {"yes": 12, "no": 8}


def test_a_split_without_keywords_is_an_error(root):
    """
    Nothing to score is an error, not a score of 0.
    """
    with pytest.raises(ConfigError, match=r"expected testing clips of yes, no.* found none"):
        protocol.balanced_split(root, LABELS, "testing")


def test_every_clip_counts_without_a_split(root):
    """
    All clips of the tree, of every split; words that are no label count as unknown.
    """
    clips = protocol.every_clip(root, LABELS)

    assert Counter(clip.label for clip in clips) == {"yes": 15, "no": 11, "_unknown_": 29}


def test_a_word_without_label_is_an_error(root):
    """
    A model without _unknown_ cannot be scored on other words: the folder is named.
    """
    with pytest.raises(ConfigError, match="bed: the model has no label 'bed' and no _unknown_"):
        protocol.every_clip(root, ("yes", "no"))
