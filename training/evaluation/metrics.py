"""Accuracy, precision, recall, calibration and confidence intervals as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

# All intervals of this project are two-sided and hold 95 %.
OUTSIDE = 0.05
Z_95 = 1.959964
N_BINS = 10


def classification_report(
    truth: Sequence[int] | NDArray[np.intp], predicted: ArrayLike, labels: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of a classification, as `kws-eval clips --json` gives them.

    Parameters
    ----------
    truth, predicted : sequence or array of int, length n
        Indices into `labels`.
    labels : sequence of str
        Names in output order.

    Returns
    -------
    report : dict
        ``n``, ``accuracy``, ``accuracy_interval_95``, ``macro`` {precision, recall, f1} as means
        over the labels, ``per_label`` {label: precision, recall, f1, n}, ``labels``, and
        ``confusion`` (rows: truth, columns: predicted). 0 divided by 0 counts as 0.
    """
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=indices, zero_division=0.0
    )
    accuracy = float(accuracy_score(truth, predicted))
    rows = zip(precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    return {
        "n": len(truth),
        "accuracy": accuracy,
        "accuracy_interval_95": list(share_interval(accuracy * len(truth), len(truth))),
        "macro": {
            "precision": float(precision.mean()),
            "recall": float(recall.mean()),
            "f1": float(f1.mean()),
        },
        "per_label": {
            label: dict(zip(("precision", "recall", "f1", "n"), row))
            for label, row in zip(labels, rows)
        },
        "labels": list(labels),
        "confusion": confusion_matrix(truth, predicted, labels=indices).tolist(),
    }


def share_interval(part: float, whole: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share, such as an accuracy (Wilson 1927)."""
    if whole == 0:
        return 0.0, 1.0
    share, z = part / whole, Z_95
    centre = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    spread = math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    half = z * spread / (1 + z * z / whole)
    return max(0.0, centre - half), min(1.0, centre + half)


def rate_interval(count: int, hours: float) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of events per hour (Garwood 1936)."""
    if hours <= 0:
        return 0.0, math.inf
    low = 0.0 if count == 0 else float(chi2.ppf(OUTSIDE / 2, 2 * count)) / 2
    high = float(chi2.ppf(1 - OUTSIDE / 2, 2 * count + 2)) / 2
    return low / hours, high / hours


def reliability(truth: Sequence[int], posteriors: NDArray[np.float32]) -> dict[str, Any]:
    """Return accuracy by confidence, and the expected calibration error (Guo et al. 2017).

    Parameters
    ----------
    truth : sequence of int, length n
        Correct label of each row.
    posteriors : ndarray of float32, shape (n, n_labels)
        The confidence of a row is its largest posterior.

    Returns
    -------
    reliability : dict
        ``expected_calibration_error`` (mean distance of accuracy from confidence, weighted by
        clips) and ``bins``: ``low``, ``high``, ``n``, ``confidence`` and ``accuracy``. The last
        two are None in an empty bin.
    """
    confidence = posteriors.max(axis=1).astype(np.float64)
    correct = posteriors.argmax(axis=1) == np.asarray(truth)
    edges = np.linspace(0, 1, N_BINS + 1)
    place = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, N_BINS - 1)
    bins: list[dict[str, Any]] = []
    error = 0.0
    for index, (low, high) in enumerate(zip(edges, edges[1:])):
        inside = place == index
        row: dict[str, Any] = {
            "low": round(float(low), 6),
            "high": round(float(high), 6),
            "n": int(inside.sum()),
            "confidence": float(confidence[inside].mean()) if inside.any() else None,
            "accuracy": float(correct[inside].mean()) if inside.any() else None,
        }
        if row["n"]:
            error += row["n"] / len(correct) * abs(row["accuracy"] - row["confidence"])
        bins.append(row)
    return {"expected_calibration_error": error, "bins": bins}
