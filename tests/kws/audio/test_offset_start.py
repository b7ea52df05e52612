"""The start of a stream: its offset is off from the first sample on, however it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from kws.audio.conditioning import Conditioner

RATE = 16_000


def conditioned(samples: np.ndarray, size: int) -> np.ndarray:
    conditioner = Conditioner(RATE, RATE)
    return np.concatenate(
        [conditioner.push(samples[at : at + size]) for at in range(0, len(samples), size)]
    )


@pytest.mark.parametrize("size", [1, 80, 160, 999, 1_018, 1_019, 8_000])
def test_the_start_does_not_depend_on_the_size_of_blocks(rng, size):
    """
    From the very first sample on the same, whatever the block length.
    """
    times = np.arange(RATE) / RATE
    samples = 500 + 8_000 * np.sin(2 * np.pi * 100 * times) + rng.normal(0, 100, RATE)
    samples = samples.astype(np.int16)

    np.testing.assert_array_equal(conditioned(samples, size), conditioned(samples, RATE))


@pytest.mark.parametrize("size", [1, 800])
def test_an_offset_makes_no_click(size):
    """
    Silence with an offset is silence from the first sample on.
    """
    assert not conditioned(np.full(RATE, 3_000, dtype=np.int16), size).any()
