"""The clips that count: halves of the speakers, clips in rooms over noise, the prior of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.errors import ConfigError
from training.datasets.clips import Clip
from training.datasets.folders import by_word, speaker_of
from training.evaluation.clips import half_of
from training.evaluation.noisy_clips import NoisyClip


@pytest.fixture
def tree(word_tree) -> Path:
    """Two words of the same eight validation speakers."""
    return word_tree({word: {"validation": 8} for word in ("yes", "no")})


def test_halves_share_no_speaker_and_lose_no_clip(tree):
    """
    Each clip is in exactly one half, and cuts of background noise are dealt out.
    """
    clips = [clip for found in by_word(tree).values() for clip in found]
    silent = [Clip(tree / "hum.wav", "_silence_", start) for start in range(6)]
    a, b = (half_of([*clips, *silent], half, [tree], "validation") for half in "ab")
    speakers = [
        {speaker_of(clip.path) for clip in half if clip.label != "_silence_"} for half in (a, b)
    ]

    assert not speakers[0] & speakers[1]
    assert sorted(map(repr, [*a, *b])) == sorted(map(repr, [*clips, *silent]))
    assert [3, 3] == [sum(clip.label == "_silence_" for clip in half) for half in (a, b)]


def test_halves_do_not_depend_on_the_clips_that_were_drawn(tree):
    """
    A speaker stays in the same half when fewer clips of the split are scored.
    """
    clips = [clip for found in by_word(tree).values() for clip in found]
    whole = half_of(clips, "b", [tree], "validation")

    assert half_of(whole[1:], "b", [tree], "validation") == whole[1:]
    with pytest.raises(ConfigError, match="--half a: expected clips of at least two speakers"):
        half_of(whole, "a", [tree], "validation")


def test_a_room_smears_a_clip_before_noise_is_added(tmp_path, tree):
    """
    A response with an echo puts the word a second time into the window.
    """
    clip = next(iter(by_word(tree)["yes"]))
    dry = NoisyClip(clip, np.zeros(16_000, np.int16), 10.0)
    response = np.zeros(8_000, np.float32)
    response[0], response[4_000] = 1.0, 0.5
    wet = NoisyClip(clip, np.zeros(16_000, np.int16), 10.0, response)

    assert (wet.path, wet.start, wet.n_samples) == (clip.path, clip.start, clip.n_samples)
    expected = dry.read().astype(float)
    expected[4_000:] += 0.5 * expected[:-4_000]
    heard = wet.read().astype(float)
    assert np.corrcoef(heard, expected)[0, 1] > 0.99
