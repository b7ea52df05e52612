"""One clip's features in a plot of their own: a picture of bands over time, or a waveform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw_features(plot: Any, features: NDArray[np.float32], *, title: str) -> None:
    """Draw ``(n_frames, n_bands)`` as a picture, ``(n_samples,)`` as a line."""
    if features.ndim == 1:
        plot.plot(features, linewidth=0.4)
    else:
        plot.imshow(features.T, origin="lower", aspect="auto", cmap="magma")
    plot.set_xticks([])
    plot.set_yticks([])
    plot.set_title(title, fontsize=9)
