"""Choosing thresholds: the fewest misses for a budget, compared with trying everything."""

import itertools

import numpy as np
import pytest

from training.tuning.threshold_rules import (
    AlarmCounts,
    cheapest_steps,
    choose_steps,
    expected_counts,
    own_places,
)


def test_a_small_case_by_hand():
    """
    Of nine combinations, the cheapest within each budget is chosen.
    """
    rates = np.array([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    costs = np.array([[0.0, 1.0, 9.0], [0.0, 4.0, 5.0]])

    chosen = [
        cheapest_steps(rates, costs, budget=budget).tolist() for budget in (0.0, 1.0, 2.9, 3.0, 5.0)
    ]

    assert [[2, 2], [1, 2], [1, 1], [1, 0], [0, 0]] == chosen


@pytest.mark.parametrize("budget", [0.0, 3.0, 7.0, 40.0])
def test_nothing_beats_the_choice(rng, budget):
    """
    No combination within the budget misses fewer words.
    """
    rates = np.sort(rng.integers(0, 12, size=(4, 6)), axis=1)[:, ::-1].astype(float)
    rates[:, -1] = 0
    costs = np.sort(rng.integers(0, 30, size=(4, 6)), axis=1).astype(float)
    keywords = np.arange(4)
    affordable = [
        costs[keywords, list(steps)].sum()
        for steps in itertools.product(range(6), repeat=4)
        if rates[keywords, list(steps)].sum() <= budget
    ]

    steps = cheapest_steps(rates, costs, budget=budget)

    assert min(affordable) == costs[keywords, steps].sum()
    assert rates[keywords, steps].sum() <= budget


def test_where_nothing_is_affordable_the_lowest_rate_is_taken():
    """
    If no choice keeps the budget, the one with the lowest rate is taken.
    """
    steps = cheapest_steps(np.array([[5.0, 4.0]]), np.array([[0.0, 7.0]]), budget=1.0)

    assert [1] == steps.tolist()


GRID = np.linspace(0.3, 0.98, 35)


def falling(tops, n_peaks):
    """Return counts whose peaks thin out evenly up to each keyword's top."""
    peaks = [np.linspace(0.3, top, n_peaks) for top in tops]
    return np.array([[int((row >= step).sum()) for step in GRID] for row in peaks])


def test_the_share_moves_thresholds_apart():
    """
    Share 0 gives one threshold for all. With a higher share, a keyword with high false peaks gets
    a higher threshold than the other.
    """
    counts = falling((0.95, 0.6), 40)
    costs = np.tile(np.arange(len(GRID), dtype=float), (2, 1))
    gaps = []
    for share in (0.0, 0.25, 1.0):
        (steps,) = choose_steps(
            [AlarmCounts(counts, 4.0)], costs, GRID, factors=[1.0], own_share=share
        )
        gaps.append(GRID[steps[0]] - GRID[steps[1]])

    assert 0.0 == gaps[0] < gaps[1] < gaps[2]
    places = own_places([AlarmCounts(counts, 4.0)], costs, GRID)
    assert 0.0 == pytest.approx(places.sum())


def test_the_strictest_of_several_budgets_decides():
    """
    With several sets of audio the level is that of the set that needs the highest one, and a set
    whose budget is hardly used changes neither level nor offsets much.
    """
    costs = np.tile(np.arange(len(GRID), dtype=float), (2, 1))
    strict = AlarmCounts(falling((0.95, 0.6), 40), 4.0)
    lax = AlarmCounts(falling((0.6, 0.95), 40), 400.0)

    def level(*alarms, share=0.0):
        return choose_steps(alarms, costs, GRID, factors=[1.0], own_share=share)[0]

    assert level(strict).tolist() == level(strict, lax).tolist() == level(lax, strict).tolist()
    assert level(lax)[0] < level(strict)[0]
    alone, both = (own_places(alarms, costs, GRID) for alarms in ([strict], [strict, lax]))
    np.testing.assert_allclose(alone, both, atol=0.3)


def test_a_multiple_of_the_budgets_lowers_thresholds():
    """
    Each multiple gives a level of its own, lower for a larger one.
    """
    counts = AlarmCounts(falling((0.95, 0.9), 40), 4.0)
    costs = np.zeros((2, len(GRID)))

    steps = choose_steps([counts], costs, GRID, factors=[0.5, 1.0, 4.0], own_share=0.0)

    levels = [int(one[0]) for one in steps]
    assert levels[0] > levels[1] > levels[2]


def test_more_false_accepts_are_expected_than_counted(rng):
    """
    Over two thousand draws of an exponential, the mean expectation is above the true value, by at
    most a quarter.
    """
    levels = np.linspace(0, 8, 200)
    asked = int(np.searchsorted(levels, 3.5))
    draws = rng.exponential(1.0, size=(2_000, 60))
    found = [
        expected_counts((draw[:, None] >= levels).sum(axis=0), levels)[asked] for draw in draws
    ]

    assert 60 * np.exp(-levels[asked]) == pytest.approx(np.mean(found), rel=0.25)
    assert np.mean(found) > 60 * np.exp(-levels[asked])
