"""Choose all thresholds together: the fewest misses for a budget of false accepts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Front:
    """Every choice of thresholds that no other one beats in both respects.

    Sorted by rate, rising; the cost falls.
    """

    rates: FloatArray
    """False accepts an hour of all keywords together."""

    costs: FloatArray
    """What is minimised: words missed, weighted as the caller likes."""

    steps: NDArray[np.int64]
    """Which threshold of the grid each keyword takes, shape (n_choices, n_keywords)."""

    def at(self, budget: float) -> int:
        """Return the number of the cheapest choice at or below a budget.

        Where none is, of the choice with the lowest rate.
        """
        return max(0, int(np.searchsorted(self.rates, budget * (1 + 1e-9), side="right")) - 1)


def best_choices(rates: FloatArray, costs: FloatArray, *, max_rate: float) -> Front:
    """Return the choices on the border of what is possible, exactly, not greedily.

    Keyword after keyword every choice so far is combined with every step of the next staircase,
    and what another one beats is dropped: a multiple-choice knapsack, small enough to be solved.

    Parameters
    ----------
    rates : ndarray, shape (n_keywords, n_thresholds)
        False accepts an hour of each keyword at each threshold.
    costs : ndarray of the same shape
        What it costs in misses.
    max_rate : float
        Choices above this are dropped, unless there is none below.
    """
    front = Front(np.zeros(1), np.zeros(1), np.zeros((1, 0), dtype=np.int64))
    # What the keywords still to come cost at least.
    rest = np.append(np.cumsum(rates.min(axis=1)[::-1])[::-1], 0.0)
    for number, (rate, cost) in enumerate(zip(rates, costs)):
        steps = _undominated(rate, cost)
        all_rates = (front.rates[:, None] + rate[steps]).ravel()
        all_costs = (front.costs[:, None] + cost[steps]).ravel()
        kept = _undominated(all_rates, all_costs)
        affordable = all_rates[kept] + rest[number + 1] <= max_rate * (1 + 1e-9)
        kept = kept[affordable] if affordable.any() else kept[:1]
        before, step = np.divmod(kept, len(steps))
        front = Front(
            all_rates[kept],
            all_costs[kept],
            np.column_stack((front.steps[before], steps[step])),
        )
    return front


def _undominated(rates: FloatArray, costs: FloatArray) -> NDArray[np.int64]:
    """Return what nothing else is at most as high in both, by rising rate."""
    # Among equals the last in order: for a staircase the highest threshold, the safer one.
    order = np.lexsort((-np.arange(len(rates)), costs, rates))
    # A millionth of a miss is rounding, not an improvement.
    lowest = np.minimum.accumulate(np.round(costs[order], 6))
    better = np.append(True, lowest[1:] < lowest[:-1])
    return np.asarray(order[better])
