"""Choose thresholds for future audio from false accepts counted in a few hours.

Counting alone overfits. A threshold just above the highest false peak of one hour is exceeded in
every second new hour, so ten such thresholds let about ten false accepts through. So all keywords
get one level, plus a share of each keyword's own best offset; `docs/experiments.md` compares this
with other rules on held-out speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Multiple of the budgets at which each keyword's offset is estimated: four sets of an hour each
# then give a few dozen false alarms, enough to compare keywords.
LEARN_AT = 3.0
# Number of highest false peaks that the tail is fitted to.
TAIL_PEAKS = 20
# int8 posteriors reach at most 255/256, so thresholds above this are equivalent.
HIGHEST = 0.9975


class AlarmCounts(NamedTuple):
    """False alarms of one set of audio."""

    counts: IntArray
    """Of each keyword at each threshold, shape (n_keywords, n_thresholds)."""

    allowed: float
    """How many of them, of all keywords together, the budget allows."""


def cheapest_steps(rates: FloatArray, costs: FloatArray, *, budget: float) -> IntArray:
    """Return the threshold of each keyword that costs least in all within a budget.

    A multiple-choice knapsack, small enough for an exact solution: the choices so far are combined
    with every threshold of the next keyword, and only those of the Pareto front are kept. If no
    choice is within the budget, the one with the lowest rate is returned.

    Parameters
    ----------
    rates : ndarray, shape (n_keywords, n_thresholds)
        False accepts per hour of each keyword at each threshold.
    costs : ndarray of the same shape
        Cost in missed words.
    """
    limit = budget * (1 + 1e-9)
    all_rates, all_costs = np.zeros(1), np.zeros(1)
    chosen = np.zeros((1, 0), dtype=np.int64)
    # Lower bound of the rate of the keywords that follow.
    rest = np.append(np.cumsum(rates.min(axis=1)[::-1])[::-1], 0.0)
    for number, (rate, cost) in enumerate(zip(rates, costs)):
        steps = _undominated(rate, cost)
        rate_sums = (all_rates[:, None] + rate[steps]).ravel()
        cost_sums = (all_costs[:, None] + cost[steps]).ravel()
        kept = _undominated(rate_sums, cost_sums)
        affordable = rate_sums[kept] + rest[number + 1] <= limit
        kept = kept[affordable] if affordable.any() else kept[:1]
        before, step = np.divmod(kept, len(steps))
        all_rates, all_costs = rate_sums[kept], cost_sums[kept]
        chosen = np.column_stack((chosen[before], steps[step]))
    # The front is sorted by falling cost.
    return np.asarray(chosen[-1])


def _undominated(rates: FloatArray, costs: FloatArray) -> NDArray[np.int64]:
    """Return the indices of the Pareto front, by rising rate."""
    # Of equal choices the last, which has the highest threshold and so is the safest.
    order = np.lexsort((-np.arange(len(rates)), costs, rates))
    # An improvement by less than a millionth of a miss is rounding.
    lowest = np.minimum.accumulate(np.round(costs[order], 6))
    better = np.append(True, lowest[1:] < lowest[:-1])
    return np.asarray(order[better])


def choose_steps(
    alarms: Sequence[AlarmCounts],
    costs: FloatArray,
    grid: FloatArray,
    *,
    factors: Sequence[float],
    own_share: float,
    margin: float = 0.0,
) -> list[IntArray]:
    """Return for each multiple of the budgets the index of each keyword's threshold in the grid.

    Each is the lowest level at which this audio keeps all budgets, and new audio is expected to.

    Parameters
    ----------
    alarms : sequence of AlarmCounts
        One for each set of audio with a budget.
    costs : ndarray, shape (n_keywords, n_thresholds)
        Cost of missed words and unwanted detections.
    grid : ndarray, shape (n_thresholds,)
        Thresholds, rising.
    factors : sequence of float
        All budgets are multiplied by it.
    own_share : float
        Share of each keyword's own best offset; 0 gives one threshold for all keywords. Higher
        values suit a model whose keywords score differently, and overfit more in few hours.
    margin : float
        Share of each budget by which the expected false alarms stay below it.
    """
    deviation = own_share * own_places(alarms, costs, grid)
    steps, used = _levels(alarms, grid, deviation, margin=margin)
    # Rates fall with the level. Where none is low enough, the last level is taken.
    first = [int(np.argmax(np.append(used <= factor, True))) for factor in factors]
    return [steps[min(index, len(steps) - 1)] for index in first]


def own_places(alarms: Sequence[AlarmCounts], costs: FloatArray, grid: FloatArray) -> FloatArray:
    """Return each keyword's best offset from the common level, as heights with mean 0.

    A height is -log(1 - threshold). Offsets are estimated at generous budgets, at which single
    false alarms matter little. A set of audio counts by the share of its budget that is used
    where all keywords have one threshold: a budget that is hardly used needs no offsets.
    """
    steps, used = _levels(alarms, grid, np.zeros(len(costs)))
    common = steps[min(int(np.argmax(np.append(used <= 1, True))), len(steps) - 1)]
    keywords = np.arange(len(costs))
    prices = [float(one.counts[keywords, common].sum() + 0.5) / one.allowed for one in alarms]
    rates = sum(
        price / sum(prices) * _falling(one.counts) / one.allowed
        for price, one in zip(prices, alarms)
    )
    best = cheapest_steps(np.asarray(rates), costs, budget=LEARN_AT)
    # The last step of the grid means "never" and is no offset.
    places = _heights(grid)[np.minimum(best, len(grid) - 2)]
    return np.asarray(places - places.mean())


def _levels(
    alarms: Sequence[AlarmCounts], grid: FloatArray, deviation: FloatArray, *, margin: float = 0.0
) -> tuple[IntArray, FloatArray]:
    """Return the thresholds at each level, and the largest share used of any budget there.

    The share used is the larger of the counted alarms and, with the margin, the expected ones:
    where many peaks are equally high, as those of a confident model, the expectation is too low.
    """
    heights = _heights(grid)
    levels = np.linspace(heights[0], heights[-1], 2 * len(grid))
    steps = np.searchsorted(heights, levels[:, None] + deviation - 1e-9)
    steps = np.minimum(steps, len(grid) - 1)
    keywords = np.arange(len(deviation))
    used = []
    for one in alarms:
        counted = one.counts[keywords, steps].sum(axis=1)
        expected = expected_counts(counted, levels) / (1 - margin)
        used.append(np.maximum(_falling(counted[None])[0], expected) / one.allowed)
    return steps, np.max(used, axis=0)


def expected_counts(total: IntArray, levels: FloatArray) -> FloatArray:
    """Return the expected number of false accepts in new audio of the same duration.

    The `TAIL_PEAKS` highest peaks are modelled as an exponential tail in height with a scale
    estimated from them. New peaks then follow a Lomax distribution. One more peak than counted
    is expected, because new audio may exceed the highest.
    """
    falling = _falling(total[None])[0]
    first = max(0, int(np.searchsorted(-falling, -TAIL_PEAKS, side="right")) - 1)
    n_peaks = falling[first]
    if n_peaks == 0:
        # Nothing was counted: half a false accept, the Jeffreys estimate.
        return np.asarray(falling + 0.5)
    # The area under the step curve is the sum of the peaks' heights above its start.
    scale = float(np.sum(falling[first + 1 :] * np.diff(levels[first:]))) / n_peaks
    beyond = (levels[first:] - levels[first]) / max(scale, 1e-6)
    expected = falling.copy()
    expected[first:] = (n_peaks + 1) * (1 + beyond / n_peaks) ** -n_peaks
    return _falling(expected[None])[0]


def _heights(grid: FloatArray) -> FloatArray:
    return np.asarray(-np.log(1 - np.minimum(grid, HIGHEST)))


def _falling(counts: NDArray[np.generic]) -> FloatArray:
    """Return counts made monotonic: merging detections can make raw counts rise."""
    return np.asarray(
        np.maximum.accumulate(np.asarray(counts, dtype=np.float64)[:, ::-1], axis=1)[:, ::-1]
    )
