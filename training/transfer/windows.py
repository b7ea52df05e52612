"""Clips of any length as windows of one length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def windows_of(
    samples: NDArray[np.int16], *, n_samples: int, hop_samples: int, short: str
) -> NDArray[np.int16]:
    """Return the windows of a clip, ``(n_windows, n_samples)``; at least one.

    All whole windows that begin a hop apart, in the middle of the clip: what is left over lies
    half before them and half behind.

    Parameters
    ----------
    samples : ndarray of int16, shape (n,)
        The clip.
    n_samples, hop_samples : int
        Length of a window, and from the start of one to that of the next.
    short : {"pad", "tile"}
        Whether a shorter clip gets zeros behind it, or is repeated.
    """
    extra = len(samples) - n_samples
    if extra < 0:
        if short == "tile" and len(samples):
            return np.resize(samples, n_samples)[None]
        return np.pad(samples, (0, -extra))[None]
    first = extra % hop_samples // 2
    starts = range(first, extra + 1, hop_samples)
    return np.stack([samples[start : start + n_samples] for start in starts])
