"""Intervals of counts, against tables and against scipy's own tests."""

import pytest

from training.evaluation.metrics import rate_interval, share_interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Garwood's table, 95 % two-sided.
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.6187, 8.767), (10, 4.795, 18.390)],
)
def test_rate_interval_is_the_tables(count, low, high):
    """
    The exact Poisson interval of a count, divided by the hours.
    """
    assert (pytest.approx(low / 2, abs=5e-4), pytest.approx(high / 2, abs=5e-4)) == rate_interval(
        count, 2.0
    )


@pytest.mark.parametrize("count", [1, 4, 25])
def test_rate_interval_leaves_a_fortieth_outside_on_each_side(count):
    """
    At either end of the interval a count as extreme as this has a probability of 2.5 %.
    """
    from scipy.stats import poisson

    low, high = rate_interval(count, 1.0)

    assert 0.025 == pytest.approx(poisson.sf(count - 1, low), abs=1e-9)
    assert 0.025 == pytest.approx(poisson.cdf(count, high), abs=1e-9)


def test_no_audio_tells_nothing():
    """
    Without an hour of audio any rate is possible.
    """
    assert (0.0, float("inf")) == rate_interval(0, 0.0)


@pytest.mark.parametrize(("part", "whole"), [(0, 20), (7, 41), (271, 726), (50, 50)])
def test_share_interval_is_scipys_wilson(part, whole):
    """
    The interval of a miss rate is Wilson's, as scipy computes it.
    """
    from scipy.stats import binomtest

    wanted = binomtest(part, whole).proportion_ci(method="wilson")

    assert (pytest.approx(wanted.low), pytest.approx(wanted.high)) == share_interval(part, whole)


def test_share_of_nothing_is_anything():
    """
    No words, no knowledge.
    """
    assert (0.0, 1.0) == share_interval(0, 0)
