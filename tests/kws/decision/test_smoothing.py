"""The mean of the last posteriors."""

from __future__ import annotations

import numpy as np
import pytest

from kws.decision.smoothing import PosteriorSmoother, smooth
from kws.errors import ConfigError


def posterior(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_nothing_until_the_span_is_full():
    """
    Before the span is full there is no score.
    """
    smoother = PosteriorSmoother(3)

    assert smoother.push(posterior(1, 0)) is None
    assert smoother.push(posterior(1, 0)) is None
    assert smoother.push(posterior(1, 0)).tolist() == [1, 0]


def test_scores_are_the_mean_of_the_last_ones():
    """
    The oldest posterior leaves as the newest comes.
    """
    smoother = PosteriorSmoother(2)
    smoother.push(posterior(0.0, 1.0))

    assert smoother.push(posterior(0.5, 0.5)).tolist() == [0.25, 0.75]
    assert smoother.push(posterior(1.0, 0.0)).tolist() == [0.75, 0.25]
    assert smoother.push(posterior(1.0, 0.0)).tolist() == [1.0, 0.0]


def test_a_span_of_one_passes_posteriors_on():
    """
    Without smoothing the score is the posterior, from the first one on.
    """
    scores = PosteriorSmoother(1).push(posterior(0.3, 0.7))

    np.testing.assert_array_equal(scores, posterior(0.3, 0.7))
    assert scores.dtype == np.float32


def test_the_same_posteriors_give_the_same_last_bit(rng):
    """
    Scores depend on the span's posteriors alone, to the bit, however long the stream was.
    """
    stream = rng.random((50, 12)).astype(np.float32)
    long_running = PosteriorSmoother(3)
    scores = [long_running.push(row) for row in stream]
    for end in range(3, 50):
        fresh = PosteriorSmoother(3)
        expected = [fresh.push(row) for row in stream[end - 3 : end]][-1]

        np.testing.assert_array_equal(scores[end - 1], expected)


def test_reset_equals_new():
    """
    After reset the span must fill again, and earlier posteriors do not count.
    """
    smoother = PosteriorSmoother(2)
    smoother.push(posterior(1, 0))
    smoother.push(posterior(1, 0))
    smoother.reset()

    assert smoother.push(posterior(0, 1)) is None
    assert smoother.push(posterior(0, 1)).tolist() == [0, 1]


def test_scores_are_the_callers_own():
    """
    Scores given earlier do not change when more posteriors come, nor posteriors when reused.
    """
    smoother = PosteriorSmoother(2)
    row = posterior(0.0, 1.0)
    smoother.push(row)
    row[:] = 9
    scores = smoother.push(posterior(0.0, 1.0))
    smoother.push(posterior(1.0, 0.0))

    assert scores.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("smoothing_ms", "hop_ms", "expected"),
    [(300, 100, 3), (300, 10, 30), (100, 100, 1), (50, 100, 1), (1, 1_000, 1), (480, 160, 3)],
)
def test_span_in_ms_becomes_posteriors(smoothing_ms, hop_ms, expected):
    """
    The span is a whole number of hops, at least one.
    """
    assert PosteriorSmoother.spanning(smoothing_ms, hop_ms=hop_ms).n_posteriors == expected


def test_a_span_of_nothing_is_refused():
    """
    Zero posteriors cannot be averaged.
    """
    with pytest.raises(ConfigError, match="n_posteriors: expected at least 1, got 0"):
        PosteriorSmoother(0)


@pytest.mark.parametrize("n_posteriors", [1, 2, 3, 10, 30])
@pytest.mark.parametrize("n_labels", [2, 12])
def test_a_whole_recording_is_smoothed_as_push_does(rng, n_posteriors, n_labels):
    """
    The scores of a recording equal those of hop-by-hop smoothing to the last bit.
    """
    posteriors = rng.random((100, n_labels)).astype(np.float32)
    smoother = PosteriorSmoother(n_posteriors)
    pushed = [smoother.push(row) for row in posteriors]
    expected = np.array([row for row in pushed if row is not None])

    np.testing.assert_array_equal(smooth(posteriors, n_posteriors), expected)
    np.testing.assert_array_equal(smooth(posteriors[:, 0], n_posteriors), expected[:, 0])
    assert 0 == len(smooth(posteriors[: n_posteriors - 1], n_posteriors))
