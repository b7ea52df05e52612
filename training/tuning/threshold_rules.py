"""Rules that turn the staircases of a few hours into thresholds for hours to come.

Counting is not enough. Ten thresholds, each put just above the highest false peak that an hour
of speech happened to hold, let some ten new ones through in the next such hour: the highest of
the new peaks lies above the highest of the old ones every second time. `docs/evaluation.md` has
what each rule gave on speakers that it had not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.tuning.pareto_front import best_choices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RULES = ("shrunk", "common", "counts", "margin")
# "margin": how far above the highest false peak that it silences a threshold must lie.
MARGIN = 0.02
# "shrunk": where each keyword's own place is learned. So many false accepts an hour are a dozen
# and more in an hour and a half: enough to tell keywords apart.
LEARN_PER_HOUR = 10.0
# The highest false peaks that the tail is fitted to.
TAIL_PEAKS = 20
# Heights beyond this are no different to int8 posteriors, whose highest is 255/256.
HIGHEST = 0.9975


@dataclass(frozen=True)
class RuleConfig:
    """How thresholds are chosen."""

    rule: str = "shrunk"
    """``counts``: the fewest misses for the false accepts counted, each keyword for itself.
    ``margin``: the same, each threshold 0.02 higher. ``common``: one threshold for all.
    ``shrunk``: one level for all, from which each keyword deviates by a share of its own best."""

    own_share: float = 0.25
    """Of ``shrunk``: 0 is one threshold for all, 1 each keyword's own best place. Higher suits
    a model whose keywords' scores are not alike, and learns more of the chance in few hours."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"rule: expected one of {', '.join(RULES)}, got {self.rule!r}")
        if not 0 <= self.own_share <= 1:
            raise ConfigError(f"own_share must lie in 0..1, got {self.own_share}")


def choose_steps(
    counts: IntArray,
    costs: FloatArray,
    grid: FloatArray,
    *,
    hours: float,
    budgets: Sequence[float],
    config: RuleConfig,
) -> list[IntArray]:
    """Return for each budget which threshold of the grid each keyword takes.

    Parameters
    ----------
    counts : ndarray of int, shape (n_keywords, n_thresholds)
        False accepts of each keyword at each threshold.
    costs : ndarray of the same shape
        Words missed, and firings too many.
    grid : ndarray, shape (n_thresholds,)
        Thresholds, rising.
    hours : float
        Of audio that the false accepts were counted in.
    budgets : sequence of float
        False accepts an hour of all keywords together.
    """
    if config.rule in ("counts", "margin"):
        rates = _falling(counts if config.rule == "counts" else _margin(counts, grid)) / hours
        front = best_choices(rates, costs, max_rate=max(budgets))
        return [front.steps[front.at(budget)] for budget in budgets]
    share = config.own_share if config.rule == "shrunk" else 0.0
    deviation = share * own_places(counts, costs, grid, hours=hours)
    heights = _heights(grid)
    levels = np.linspace(heights[0], heights[-1], 2 * len(grid))
    steps = np.searchsorted(heights, levels[:, None] + deviation - 1e-9)
    steps = np.minimum(steps, len(grid) - 1)
    total = counts[np.arange(len(counts)), steps].sum(axis=1)
    rates = expected_counts(total, levels) / hours
    # The rates fall with the level; the last level is the answer where none is low enough.
    first = [int(np.argmax(np.append(rates <= budget, True))) for budget in budgets]
    return [steps[min(index, len(levels) - 1)] for index in first]


def own_places(
    counts: IntArray, costs: FloatArray, grid: FloatArray, *, hours: float
) -> FloatArray:
    """Return how far above or below all others each keyword is best put, as heights of mean 0.

    A height is -log(1 - threshold). They are learned at a generous budget, where a few false
    accepts more or less matter little.
    """
    rates = _falling(counts) / hours
    front = best_choices(rates, costs, max_rate=LEARN_PER_HOUR)
    # The step beyond the last is "never": no place, but the end of the scale.
    steps = np.minimum(front.steps[front.at(LEARN_PER_HOUR)], len(grid) - 2)
    places = _heights(grid)[steps]
    return np.asarray(places - places.mean())


def expected_counts(total: IntArray, levels: FloatArray) -> FloatArray:
    """Return how many false accepts as much new audio is to be expected to hold.

    The `TAIL_PEAKS` highest peaks are taken for the tail of an exponential in height, whose
    scale is learned from them: new ones then follow a Lomax distribution, and one more than
    was counted is to be expected, for the next audio may surpass the highest.
    """
    falling = _falling(total[None])[0]
    first = max(0, int(np.searchsorted(-falling, -TAIL_PEAKS, side="right")) - 1)
    n_peaks = falling[first]
    if n_peaks == 0:
        # Nothing is known but that there was none: half a one, as Jeffreys has it.
        return np.asarray(falling + 0.5)
    # The area under the staircase is the sum of what the peaks exceed its beginning by.
    scale = float(np.sum(falling[first + 1 :] * np.diff(levels[first:]))) / n_peaks
    beyond = (levels[first:] - levels[first]) / max(scale, 1e-6)
    expected = falling.copy()
    expected[first:] = (n_peaks + 1) * (1 + beyond / n_peaks) ** -n_peaks
    return _falling(expected[None])[0]


def _heights(grid: FloatArray) -> FloatArray:
    return np.asarray(-np.log(1 - np.minimum(grid, HIGHEST)))


def _falling(counts: NDArray[np.generic]) -> FloatArray:
    """Return counts that never rise with the threshold; stretches that merge make them bend."""
    return np.asarray(
        np.maximum.accumulate(np.asarray(counts, dtype=np.float64)[:, ::-1], axis=1)[:, ::-1]
    )


def _margin(counts: IntArray, grid: FloatArray) -> IntArray:
    lower = np.searchsorted(grid, grid - MARGIN - 1e-9, side="right") - 1
    return counts[:, np.maximum(lower, 0)]
