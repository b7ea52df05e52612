"""The colour map of spectrogram pictures: viridis as a piecewise-linear function of the level.

Straight between its knots, it is exact in plain arithmetic: numpy colours pictures for PNG files,
and two 1 x 1 convolutions colour them inside a network, int8 included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# Viridis (van der Walt and Smith, CC0) at 17 levels 0, 1/16, ... 1. Between them the straight lines
# stay within 6 of 255 of its 256 colours.
KNOTS = (
    (68, 1, 84),
    (72, 24, 106),
    (71, 45, 123),
    (66, 64, 134),
    (59, 82, 139),
    (51, 99, 141),
    (44, 114, 142),
    (38, 129, 142),
    (33, 144, 140),
    (31, 159, 136),
    (40, 174, 128),
    (62, 188, 116),
    (93, 201, 99),
    (130, 211, 76),
    (171, 220, 50),
    (213, 226, 26),
    (253, 231, 37),
)
DARKEST = KNOTS[0]
# What a ramp of `ramps` ends at: the bound of ReLU6, which every TFLite runtime has.
RAMP_TOP = 6.0


def colour(levels: FloatArray) -> FloatArray:
    """Return the colours of levels: ``(...)`` to ``(..., 3)``, red, green, blue, 0..1.

    Levels below 0 are as dark as 0, those above 1 as bright as 1.
    """
    at = np.linspace(0, 1, len(KNOTS))
    channels = [np.interp(levels, at, channel) for channel in zip(*KNOTS)]
    return (np.stack(channels, axis=-1) / 255).astype(np.float32)


def ramps() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the colour map as two layers: ``relu6(level * slopes + starts) @ rises + base``.

    Each segment between two knots is a ramp of its own, from 0 to 6, which then adds its rise in
    each channel. At any level one ramp is under way and all others stand at an end that 8 bits
    hold exactly, so int8 adds hardly an error; knots of plain ReLU would grow with the level and
    have to cancel each other.

    Returns
    -------
    slopes, starts : ndarray of float32, shape (n_segments,)
    rises : ndarray of float32, shape (n_segments, 3)
    base : ndarray of float32, shape (3,)
    """
    knots = np.array(KNOTS) / 255
    n_segments = len(knots) - 1
    slopes = np.full(n_segments, RAMP_TOP * n_segments)
    starts = -RAMP_TOP * np.arange(n_segments)
    parts = (slopes, starts, np.diff(knots, axis=0) / RAMP_TOP, knots[0])
    slopes, starts, rises, base = (part.astype(np.float32) for part in parts)
    return slopes, starts, rises, base
