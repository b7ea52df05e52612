"""How far a model's confidence can be believed: reliability and expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_BINS = 10


def reliability(
    truth: Sequence[int], posteriors: NDArray[np.float32], *, n_bins: int = N_BINS
) -> dict[str, Any]:
    """Return accuracy by confidence, and the expected calibration error (Guo et al. 2017).

    Parameters
    ----------
    truth : sequence of int, length n
        Right label of each row.
    posteriors : ndarray of float32, shape (n, n_labels)
        Confidence is the largest of a row.
    n_bins : int
        Of equal width from 0 to 1.

    Returns
    -------
    reliability : dict
        ``expected_calibration_error`` (mean distance of accuracy from confidence, weighted by
        clips) and ``bins``: ``low``, ``high``, ``n``, and ``confidence`` and ``accuracy``, None
        where no clip falls into a bin.
    """
    confidence = posteriors.max(axis=1).astype(np.float64)
    right = posteriors.argmax(axis=1) == np.asarray(truth)
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, n_bins - 1)
    bins = []
    error = 0.0
    for index in range(n_bins):
        inside = place == index
        n = int(inside.sum())
        mean = float(confidence[inside].mean()) if n else None
        accuracy = float(right[inside].mean()) if n else None
        if mean is not None and accuracy is not None:
            error += n / len(right) * abs(accuracy - mean)
        bins.append(
            {
                "low": round(float(edges[index]), 6),
                "high": round(float(edges[index + 1]), 6),
                "n": n,
                "confidence": mean,
                "accuracy": accuracy,
            }
        )
    return {"expected_calibration_error": error, "bins": bins}
