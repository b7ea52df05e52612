"""Convert between real values and integer tensors: round, then clip; never a bare cast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def quantize(
    x: NDArray[np.float32], *, scale: float, zero_point: int, dtype: type[np.signedinteger[Any]]
) -> NDArray[Any]:
    """Return ``round(x / scale) + zero_point`` clipped to the range of `dtype`, same shape."""
    limits = np.iinfo(dtype)
    return np.asarray(
        np.clip(np.round(x / scale) + zero_point, limits.min, limits.max), dtype=dtype
    )


def dequantize(q: NDArray[Any], *, scale: float, zero_point: int) -> NDArray[np.float32]:
    """Return ``(q - zero_point) * scale`` as float32, same shape."""
    return (q.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


class FrameQuantizer:
    """Normalise frames of features and write them into a model's input tensor.

    Normalisation and quantization together are one multiplication and one addition, in float32.
    Both forms of a model use it, so they see the same integers.

    Parameters
    ----------
    mean, std : float
        The manifest's normalisation.
    scale, zero_point
        Of the input tensor; scale 0 for a float one.
    dtype : type
        Of the input tensor.
    """

    def __init__(
        self, *, mean: float, std: float, scale: float, zero_point: int, dtype: type[Any]
    ) -> None:
        step = std * (scale or 1.0)
        self._gain = np.float32(1 / step)
        self._offset = np.float32((zero_point if scale else 0) - mean / step)
        self._limits = None
        if scale:
            limits = np.iinfo(dtype)
            self._limits = (np.float32(limits.min), np.float32(limits.max))
        self._work = np.zeros((0, 0), dtype=np.float32)

    def write(self, frames: FloatArray, into: NDArray[Any]) -> None:
        """Write frames ``(n_frames, n_bands)`` into a tensor's array of as many elements."""
        if frames.shape != self._work.shape:
            self._work = np.zeros(frames.shape, dtype=np.float32)
        work = self._work
        np.multiply(frames, self._gain, out=work)
        np.add(work, self._offset, out=work)
        if self._limits is not None:
            np.rint(work, out=work)
            np.maximum(work, self._limits[0], out=work)
            np.minimum(work, self._limits[1], out=work)
        into.reshape(frames.shape)[...] = work
