"""Accuracy, precision, recall and F1 per label, from scikit-learn, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support


def classification_report(
    truth: Sequence[int], predicted: Sequence[int], labels: Sequence[str]
) -> dict[str, Any]:
    """Return what `kws-eval clips --json` says of a classification.

    Parameters
    ----------
    truth, predicted : sequence of int, length n
        Indices into `labels`.
    labels : sequence of str
        Names in output order.

    Returns
    -------
    report : dict
        ``n``, ``accuracy``, ``macro`` {precision, recall, f1} as means over the labels,
        ``per_label`` {label: precision, recall, f1, n}, ``labels``, and ``confusion`` (rows:
        truth, columns: predicted). A ratio of nothing to nothing is 0.
    """
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=indices, zero_division=0.0
    )
    return {
        "n": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro": {
            "precision": float(precision.mean()),
            "recall": float(recall.mean()),
            "f1": float(f1.mean()),
        },
        "per_label": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "n": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "labels": list(labels),
        "confusion": confusion_matrix(truth, predicted, labels=indices).tolist(),
    }


def accuracy_interval(accuracy: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy over `n` clips (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    centre = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def argmax(posteriors: NDArray[np.float32]) -> list[int]:
    """Return the best label of each row of ``(n, n_labels)``."""
    return [int(index) for index in posteriors.argmax(axis=1)]
