"""A device's samples on their way to the spotter: offset, gain, clipping, rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws.audio.conditioning import Conditioner

RATE = 16_000


def tone(hz: float, seconds: float, *, rate: int = RATE, peak: float = 8_000) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return np.round(peak * np.sin(2 * np.pi * hz * times)).astype(np.int16)


def in_blocks(conditioner: Conditioner, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Return what comes out when samples are pushed in pieces of these sizes, in turn."""
    pieces = [np.zeros(0, dtype=np.int16)]
    at = n = 0
    while at < len(samples):
        pieces.append(conditioner.push(samples[at : at + sizes[n % len(sizes)]]))
        at += sizes[n % len(sizes)]
        n += 1
    return np.concatenate(pieces)


def level_db(samples: np.ndarray, hz: float) -> float:
    """Return the level of one frequency, over a whole number of its periods."""
    n = int(len(samples) * hz / RATE) * RATE / hz
    samples = samples[: round(n)].astype(np.float64)
    turning = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / RATE)
    return float(20 * np.log10(abs((samples * turning).mean())))


def rest_of_tone(samples: np.ndarray, hz: float) -> np.ndarray:
    """Return what is left of samples when the best fitting tone is taken off."""
    times = np.arange(len(samples)) / RATE
    waves = np.stack([np.sin(2 * np.pi * hz * times), np.cos(2 * np.pi * hz * times)], axis=1)
    weights, *_ = np.linalg.lstsq(waves, samples.astype(np.float64), rcond=None)
    return samples - waves @ weights


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("block_s", [0.005, 0.05, 0.5])
def test_an_offset_is_removed_within_a_tenth_of_a_second(rng, rate, block_s):
    """
    Of an offset of 3,000 under noise, less than a hundredth is left in each 50 ms from 0.1 s
    on.
    """
    noise = rng.normal(3_000, 300, rate).astype(np.int16)
    heard = in_blocks(Conditioner(rate, RATE), noise, [round(block_s * rate)])
    means = heard[RATE // 10 :][: 17 * 800].reshape(-1, 800).mean(axis=1)

    assert len(means) == 17
    # The noise itself has a mean of 300 / sqrt(800 * share of the band that is left) = 11.
    assert abs(means).max() < 3 * 11
    assert abs(means.mean()) < 10


def test_a_later_change_of_the_offset_is_removed():
    """
    A step of 3,000 decays to a hundredth within 0.3 s.
    """
    step = np.concatenate((np.zeros(RATE), np.full(RATE, 3_000))).astype(np.int16)
    heard = Conditioner(RATE, RATE).push(step)

    assert abs(heard[:RATE]).max() == 0
    assert heard[RATE] > 2_990
    assert abs(heard[RATE + RATE * 3 // 10 :]).max() <= 30


@pytest.mark.parametrize("hz", [20, 31.25, 50, 125, 1_000, 7_000])
def test_audible_tones_keep_their_level(hz):
    """
    From 20 Hz up the filter changes no frequency by more than 0.1 dB.
    """
    samples = tone(hz, 5)
    heard = in_blocks(Conditioner(RATE, RATE), samples, [800])

    assert abs(level_db(heard[RATE:], hz) - level_db(samples[RATE:], hz)) < 0.1


def test_a_tone_far_below_hearing_is_removed():
    """
    Half a hertz loses more than 12 dB: the test above can fail.
    """
    samples = tone(0.5, 12)
    heard = in_blocks(Conditioner(RATE, RATE), samples, [800])

    assert level_db(heard[4 * RATE :], 0.5) < level_db(samples[4 * RATE :], 0.5) - 12


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@settings(max_examples=8)
@given(sizes=st.lists(st.integers(1, 8_000), min_size=1, max_size=6))
@example(sizes=[1])
@example(sizes=[8_000])
def test_the_output_does_not_depend_on_chunking(rate, sizes):
    """
    After the same first block, other cuts leave no seam in the offset filter or the resampler.
    """
    rng = np.random.default_rng(3)
    samples = rng.normal(500, 4_000, 9_000).clip(-32_768, 32_767).astype(np.int16)
    whole, cut = Conditioner(rate, RATE, gain_db=3), Conditioner(rate, RATE, gain_db=3)
    first = rate // 10

    np.testing.assert_array_equal(cut.push(samples[:first]), whole.push(samples[:first]))
    heard = in_blocks(cut, samples[first:], sizes)
    expected = whole.push(samples[first:])
    n = min(len(heard), len(expected))
    assert n > 0.5 * len(samples[first:]) * RATE / rate
    np.testing.assert_array_equal(heard[:n], expected[:n])
    # The resampler may hold back more of the one than of the other, to the end.
    rest = [
        np.concatenate((part[n:], who.finish())) for part, who in ((heard, cut), (expected, whole))
    ]
    np.testing.assert_array_equal(*rest)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_resampled_tone_keeps_its_phase(rng, rate):
    """
    In blocks of any length, only rounding remains beside the tone.
    """
    sizes = rng.integers(1, 2_000, 50).tolist()
    heard = in_blocks(Conditioner(rate, RATE), tone(1_000, 3, rate=rate), sizes)
    rest = rest_of_tone(heard[RATE:], 1_000)

    assert len(heard) > 2.9 * RATE
    assert abs(rest).max() < 2.5


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("n", [1, 799, 50_001])
def test_finish_returns_what_was_held_back(rng, rate, n):
    """
    With it there are exactly as many samples as time has passed.
    """
    conditioner = Conditioner(rate, RATE)
    heard = in_blocks(conditioner, rng.integers(-999, 999, n).astype(np.int16), [480])

    assert abs(len(heard) + len(conditioner.finish()) - n * RATE / rate) <= 0.5


@pytest.mark.parametrize(("gain_db", "factor"), [(0, 1.0), (20, 10.0), (-20, 0.1), (6.0206, 2.0)])
def test_gain_in_db_is_exact(gain_db, factor):
    """
    A tone gets louder by the gain, to a hundredth of a dB.
    """
    samples = tone(1_000, 1, peak=2_000)
    heard = Conditioner(RATE, RATE, gain_db=gain_db).push(samples)
    got = level_db(heard, 1_000) - level_db(samples, 1_000)

    assert abs(got - 20 * np.log10(factor)) < 0.01


def spikes(n_pairs: int, peak: int, n: int = 16_000) -> np.ndarray:
    """Return a faint square wave in which so many pairs of samples are loud, both ways."""
    samples = np.tile(np.array([100, -100], dtype=np.int16), n // 2)
    for pair in range(n_pairs):
        samples[40 * pair + 20 : 40 * pair + 22] = peak, -peak
    return samples


def test_samples_that_the_gain_clips_are_counted():
    """
    30,000 doubled becomes full scale; each sample is counted once.
    """
    conditioner = Conditioner(RATE, RATE, gain_db=6.0206)
    heard = conditioner.push(spikes(37, 30_000))

    assert (heard.max(), heard.min()) == (32_767, -32_768)
    assert conditioner.clipped == 2 * 37
    assert conditioner.push(spikes(0, 0)).max() < 250
    assert conditioner.clipped == 2 * 37


@pytest.mark.parametrize("gain_db", [0, 6, -6])
def test_samples_that_the_device_clipped_are_counted_once(gain_db):
    """
    Samples at full scale count whatever the gain; samples just below do not.
    """
    conditioner = Conditioner(RATE, RATE, gain_db=gain_db)
    conditioner.push(spikes(21, 32_767))

    assert conditioner.clipped == 2 * 21
    if gain_db <= 0:
        conditioner.push(spikes(21, 32_700))
        assert conditioner.clipped == 2 * 21


@pytest.mark.parametrize("size", [1, 7, 4_800])
def test_clipping_is_counted_at_the_spotters_rate(size):
    """
    Every third clipped sample of a 48 kHz device counts, for any block length.
    """
    conditioner = Conditioner(48_000, RATE)
    in_blocks(conditioner, spikes(90, 32_767, n=4_800), [size])

    assert conditioner.clipped == 2 * 90 / 3


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_empty_chunks_are_allowed(rate):
    """
    At any time, also first.
    """
    conditioner = Conditioner(rate, RATE)

    for _ in range(2):
        heard = conditioner.push(np.zeros(0, dtype=np.int16))
        assert (heard.dtype, heard.shape) == (np.int16, (0,))
        assert conditioner.clipped == 0
        conditioner.push(np.ones(RATE, dtype=np.int16))


def conditioned(samples: np.ndarray, size: int) -> np.ndarray:
    conditioner = Conditioner(RATE, RATE)
    return np.concatenate(
        [conditioner.push(samples[at : at + size]) for at in range(0, len(samples), size)]
    )


@pytest.mark.parametrize("size", [1, 80, 160, 999, 1_018, 1_019, 8_000])
def test_the_start_does_not_depend_on_the_block_length(rng, size):
    """
    From the very first sample on.
    """
    times = np.arange(RATE) / RATE
    samples = 500 + 8_000 * np.sin(2 * np.pi * 100 * times) + rng.normal(0, 100, RATE)
    samples = samples.astype(np.int16)

    np.testing.assert_array_equal(conditioned(samples, size), conditioned(samples, RATE))
