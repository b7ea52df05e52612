"""How far a count of a few can lie from the truth: exact intervals for rates."""

from __future__ import annotations

from training.evaluation.metrics import accuracy_interval

# 95 %, two-sided, as everywhere in this project.
OUTSIDE = 0.05


def rate_interval(count: int, hours: float) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of events an hour (Garwood 1936)."""
    from scipy.stats import chi2

    if hours <= 0:
        return 0.0, float("inf")
    low = 0.0 if count == 0 else float(chi2.ppf(OUTSIDE / 2, 2 * count)) / 2
    high = float(chi2.ppf(1 - OUTSIDE / 2, 2 * count + 2)) / 2
    return low / hours, high / hours


def share_interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share, such as a miss rate."""
    return accuracy_interval(part / whole if whole else 0.0, whole)
