"""The table of what a model made of each clip."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.files import write_atomically


def write_predictions(
    clips: Sequence[Any],
    posteriors: NDArray[np.float32],
    labels: Sequence[str],
    *,
    root: Path,
    path: Path,
) -> None:
    """Write a CSV with file (below `root`), label, predicted, and the score of every label.

    Where some clips are cuts of longer files, a column tells the first sample of each.
    """
    has_cuts = any(clip.n_samples is not None for clip in clips)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *(("start",) if has_cuts else ()), "label", "predicted", *labels))
    folder = root.parent if root.suffix in (".csv", ".npz") else root
    for clip, row in zip(clips, posteriors):
        name = clip.path.relative_to(folder) if clip.path.is_relative_to(folder) else clip.path
        predicted = labels[int(row.argmax())]
        start = (clip.start,) if has_cuts else ()
        scores = (f"{value:.4f}" for value in row)
        writer.writerow((name.as_posix(), *start, clip.label, predicted, *scores))
    write_atomically(path, text.getvalue())
