"""What a connection to a microphone hands on: audio, and what is missing in front of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Piece(NamedTuple):
    """Audio from the device, and what is missing in front of it."""

    samples: NDArray[np.int16]
    """Mono int16 ``(n,)`` at the device's rate."""

    rate: int
    dropped: int
    """Samples, at the device's rate, that the consumer was too slow for."""

    gap_s: float
    """Time without a device."""

    cut: bool
    """True if these do not follow on the last ones."""

    news: str | None
    """A sentence for people if the device is back with these."""
