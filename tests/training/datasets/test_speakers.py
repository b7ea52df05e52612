"""Whose voice a file holds, and halves without a speaker in common."""

import pytest

from training.datasets.folders import halves, speaker_of


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("1272-128104-0000.wav", "1272"),
        ("1272-003.wav", "1272"),
        ("0a7c2a8d_nohash_1.wav", "0a7c2a8d"),
        ("5-181766-A.wav", "181766"),
        ("5-181766-B-12.wav", "181766"),
        ("a-000.wav", "a"),
        ("kitchen.flac", "kitchen"),
    ],
)
def test_the_speaker_is_read_off_the_name(name, speaker):
    """
    LibriSpeech, Speech Commands and ESC-50 each name the speaker or source in their own place.
    """
    assert speaker == speaker_of(name)


def test_halves_share_nobody_and_leave_out_nobody():
    """
    Every other name, in order; twice the same speaker is one.
    """
    names = ["84", "1272", "652", "1272", "2412"]

    assert (frozenset({"1272", "652"}), frozenset({"2412", "84"})) == halves(names)


def test_one_speaker_is_in_the_first_half():
    """
    A single speaker cannot be halved.
    """
    assert (frozenset({"84"}), frozenset()) == halves(["84"])
