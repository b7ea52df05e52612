"""Hints about a microphone that is muted or far too loud: once, and again after it was well."""

from __future__ import annotations

import numpy as np
import pytest

from kws.audio.conditioning import CLIPPED_SPAN_S, SILENT_S, SignalHealth

RATE = 16_000
BLOCK = 800


@pytest.fixture
def health():
    return SignalHealth(RATE)


def feed(
    health: SignalHealth, seconds: float, *, peak: int, clipped_share: float = 0.0
) -> list[tuple[float, str, str]]:
    """Return (when, kind, text) of all hints in so many seconds of a square wave."""
    block = np.tile(np.array([peak, -peak], dtype=np.int16), BLOCK // 2)
    hints = []
    for number in range(1, round(seconds * RATE / BLOCK) + 1):
        hint = health.push(block, round(clipped_share * BLOCK))
        if hint is not None:
            hints.append((number * BLOCK / RATE, *hint))
    return hints


@pytest.mark.parametrize("peak", [0, 3])
def test_silence_is_reported_once(health, peak):
    """
    15 s of silence, rounding noise included, bring one hint, ten minutes no second one.
    """
    (hint,) = feed(health, 600, peak=peak)

    assert hint[:2] == (SILENT_S, "silent")
    assert "nothing but silence for 15 s" in hint[2]


def test_a_quiet_room_is_not_silence(health):
    """
    Its noise is above the limit.
    """
    assert feed(health, 60, peak=4) == []


def test_silence_counts_from_the_last_sound(health):
    """
    14 s twice, with a single loud sample between, are not 15 s.
    """
    click = np.zeros(BLOCK, dtype=np.int16)
    click[17] = -5

    assert feed(health, 14, peak=0) == []
    assert health.push(click, 0) is None
    assert feed(health, 14, peak=0) == []


def test_silence_is_reported_again_after_sound(health):
    """
    A microphone that worked in between is reported again.
    """
    feed(health, 20, peak=0)
    feed(health, 0.05, peak=1_000)

    assert [hint[:2] for hint in feed(health, 20, peak=0)] == [(SILENT_S, "silent")]


def test_clipping_is_reported_once(health):
    """
    2 % of 5 s at full scale bring one hint with the share, as long as it goes on.
    """
    (hint,) = feed(health, 300, peak=32_767, clipped_share=0.02)

    assert hint[:2] == (CLIPPED_SPAN_S, "clipped")
    assert "2% of the last 5 s" in hint[2]


def test_a_little_clipping_is_normal(health):
    """
    Up to 1 % is not reported.
    """
    assert feed(health, 60, peak=32_767, clipped_share=0.01) == []


def test_clipping_is_reported_again_after_a_while_without(health):
    """
    After 5 s with less.
    """
    feed(health, 10, peak=32_767, clipped_share=0.5)

    assert feed(health, 5, peak=1_000) == []
    assert [hint[1] for hint in feed(health, 5, peak=32_767, clipped_share=0.5)] == ["clipped"]


def test_the_lowest_sample_is_not_silence(health):
    """
    -32,768 has no positive counterpart in int16.
    """
    blocks = [np.full(BLOCK, -32_768, dtype=np.int16)] * 400

    assert [health.push(block, 0) for block in blocks] == [None] * 400
