"""Saying it faster or slower at the same pitch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
# 25 ms, half of it overlapping; each piece may move by 7.5 ms to fit the one before it.
PIECE, REACH = 400, 120


def change_tempo(samples: FloatArray, factor: float) -> FloatArray:
    """Return samples that last ``1 / factor`` times as long, at the same pitch.

    Waveform-similarity overlap-add (Verhelst and Roelands 1993). Libraries that do it bring a
    compiler or a binary with them, which is much for copies of a word.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        At 16 kHz.
    factor : float
        Above 1 is faster.

    Returns
    -------
    samples : ndarray of float32, shape (round(n / factor),)
    """
    hop, n_made = PIECE // 2, round(len(samples) / factor)
    shape = np.hanning(PIECE + 1)[:PIECE]
    padded = np.pad(samples, (hop, 2 * PIECE + 2 * REACH))
    made = np.zeros(n_made + 2 * PIECE)
    weight = np.zeros_like(made)
    follows: int | None = None
    for place in range(0, n_made, hop):
        start = min(int(place * factor) + hop, len(padded) - PIECE - REACH)
        if follows is not None:
            wanted = padded[follows : follows + PIECE]
            around = padded[start - REACH : start + REACH + PIECE]
            start += int(np.argmax(np.correlate(around, wanted, "valid"))) - REACH
        made[place : place + PIECE] += shape * padded[start : start + PIECE]
        weight[place : place + PIECE] += shape
        follows = min(start + hop, len(padded) - PIECE)
    return np.asarray((made / np.maximum(weight, 1e-3))[:n_made], np.float32)
