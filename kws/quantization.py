"""Between real values and integer tensors: round, then clip; never a bare cast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
