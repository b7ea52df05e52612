"""Thresholds from the highest scores of speech."""

from __future__ import annotations

import numpy as np
import pytest

from training.enrolment.calibration import ScoreTail, peaks, smoothed


def seconds(rng, n: int) -> list[np.ndarray]:
    """Return segments of ten seconds with one exponentially distributed peak per second."""
    scores = np.full((n, 10, 10), -5.0, np.float32)
    scores[:, :, 4:6] = rng.exponential(0.7, (n, 10, 1))
    return list(scores.reshape(n, 100))


def test_the_tail_gives_the_rate_of_an_exponential(rng):
    """The threshold makes the target rate, within a factor of two."""
    threshold = ScoreTail.fit(seconds(rng, 1_000), hop_s=0.1).threshold(0.5)

    per_hour = 3600 * np.exp(-threshold / 0.7)
    assert 0.25 < per_hour < 1.0


def test_the_rate_is_that_of_its_threshold(rng):
    """Rate and threshold are inverse functions."""
    tail = ScoreTail.fit(seconds(rng, 100), hop_s=0.1)

    assert pytest.approx(0.5) == tail.per_hour(tail.threshold(0.5))


def test_the_interval_holds_the_rate(rng):
    """It grows with the distance from the fitted peaks."""
    tail = ScoreTail.fit(seconds(rng, 200), hop_s=0.1)
    near, far = tail.threshold(50.0), tail.threshold(0.2)

    low, high = tail.interval(far)

    assert low < 0.2 < high
    assert high / low > tail.interval(near)[1] / tail.interval(near)[0]


def test_two_hops_are_averaged():
    """A segment of a single hop stays as it is."""
    np.testing.assert_array_equal([1.0, 3.0], smoothed(np.array([0, 2, 4], np.float32)))
    np.testing.assert_array_equal([2.0], smoothed(np.array([2], np.float32)))


def test_a_segment_has_one_peak_per_second():
    """A score that stays high within a second is one event."""
    scores = np.zeros(31, np.float32)
    scores[[2, 3, 4, 30]] = [1, 2, 1, 5]

    np.testing.assert_array_equal([2, 0, 5], peaks(scores, 0.1))
    np.testing.assert_array_equal([2], peaks(scores[:6], 0.1))
