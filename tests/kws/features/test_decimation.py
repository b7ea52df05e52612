"""From 16 kHz to a model's 8 kHz: exact, however the audio is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws.features.decimation import SCALE, SIDE_SAMPLES, Decimator, decimate, decimation_taps

RATE = 16_000


def tone(hz: float, *, amplitude: float = 10_000) -> np.ndarray:
    """Return a second of a tone, int16 at 16 kHz."""
    return np.round(amplitude * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.int16)


def loudness(samples: np.ndarray) -> float:
    """Return the RMS without the ends."""
    return float(np.sqrt(np.mean(samples[200:-200].astype(np.float64) ** 2)))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_it_equals_the_plain_definition(rng, factor):
    """
    Every factor-th sample of the audio convolved with the taps, rounded, bit by bit.
    """
    audio = rng.integers(-32_768, 32_768, 4_801).astype(np.int16)
    taps = [int(tap) for tap in decimation_taps(factor)]
    expected = []
    for newest in range(factor - 1, len(audio), factor):
        heard = audio[max(0, newest - len(taps) + 1) : newest + 1][::-1]
        total = sum(int(x) * tap for x, tap in zip(heard, taps))
        expected.append(np.clip(round(total / SCALE), -32_768, 32_767))

    np.testing.assert_array_equal(decimate(audio, factor), expected)


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 2_000), min_size=1, max_size=6).filter(any))
@example(sizes=[1])
@example(sizes=[3])
def test_cuts_do_not_matter(demo_audio, sizes):
    """
    However the audio is cut, the samples are the same; n samples in give n // 2 out, at once.
    """
    audio = demo_audio[RATE : RATE + 5_001]
    decimator = Decimator(2)
    pieces, at, n, n_made = [], 0, 0, 0
    while at < len(audio):
        pieces.append(decimator.push(audio[at : at + sizes[n % len(sizes)]]))
        at += sizes[n % len(sizes)]
        n += 1
        n_made += len(pieces[-1])

        assert min(at, len(audio)) // 2 == n_made

    np.testing.assert_array_equal(np.concatenate(pieces), decimate(audio, 2))


def test_reset_equals_new(demo_audio):
    """
    After reset, earlier audio has no influence.
    """
    used = Decimator(2)
    used.push(demo_audio[:12_345])
    used.reset()

    np.testing.assert_array_equal(used.push(demo_audio), Decimator(2).push(demo_audio))


@pytest.mark.parametrize("hz", [100, 1_000, 3_000, 3_500])
def test_what_8_khz_can_hold_passes(hz):
    """
    A tone up to 3.5 kHz keeps its loudness within 1 %, and comes 24 samples later.
    """
    audio = tone(hz)
    low = decimate(audio, 2)
    expected = audio[1::2][: -SIDE_SAMPLES or None]

    assert loudness(audio) == pytest.approx(loudness(low), rel=0.01)
    np.testing.assert_allclose(low[100:], expected[100 - SIDE_SAMPLES :], atol=120)


@pytest.mark.parametrize("hz", [4_500, 5_000, 6_000, 7_900])
def test_what_8_khz_cannot_hold_is_gone(hz):
    """
    A tone from 4.5 kHz on does not come back as another one: it is 80 dB down.
    """
    assert loudness(decimate(tone(hz, amplitude=30_000), 2)) < 30_000 * 1e-4 + 1


def test_loud_audio_is_clipped_not_wrapped():
    """
    A full-scale square wave, which overshoots, stays within int16 and keeps its sign.
    """
    square = np.where(np.arange(RATE) // 40 % 2, 32_767, -32_768).astype(np.int16)
    low = decimate(square, 2)

    assert (low.max(), low.min()) == (32_767, -32_768)
    # In the middle of each stretch of 20 samples the sign is that of the input.
    middle = low[SIDE_SAMPLES + 10 : SIDE_SAMPLES + 1_000 : 20]

    assert [-1, 1] * (len(middle) // 2) == np.sign(middle).tolist()


def test_a_factor_of_1_converts_nothing():
    """
    `decimate` returns the audio itself.
    """
    audio = np.arange(5, dtype=np.int16)

    assert decimate(audio, 1) is audio
