"""Embeddings of the clips of a recipe, cached on disk for the next head."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.files import atomic_path
from training.datasets.clips import key_of
from training.embedding.backbone import Backbone, Embedder

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class ClipEmbeddings:
    """The embeddings of clips, one row per window."""

    rows: NDArray[np.float32]
    """``(n_windows, size)``, clip after clip."""

    starts: NDArray[np.intp]
    """First row of each clip, then the number of rows."""

    def of(self, index: int) -> NDArray[np.float32]:
        """Return the rows of a clip, ``(n_windows, size)``."""
        return self.rows[self.starts[index] : self.starts[index + 1]]


def embed_clips(
    backbone: Backbone, clips: Sequence[Any], *, short: str, cache: Path, progress: Progress
) -> ClipEmbeddings:
    """Return the embeddings of clips, from `cache` if they were embedded before.

    Parameters
    ----------
    backbone : Backbone
    clips : sequence of labelled clips
    short : {"pad", "tile"}
        What to do with clips shorter than a window.
    cache : Path
        Folder; created if it does not exist.
    progress : callable
        Wraps the clips, to show progress.
    """
    key = key_of(clips, f"{backbone.fingerprint} {short}")
    path = cache / f"{backbone.name}-{key[:16]}.npz"
    if path.is_file():
        with np.load(path) as known:
            logger.info("%s: cached embeddings of %d clips", path, len(clips))
            return ClipEmbeddings(known["rows"], known["starts"])
    embedder = Embedder(backbone)
    parts = [
        embedder.embed(
            windows_of(
                clip.read(),
                n_samples=backbone.window_samples,
                hop_samples=backbone.hop_samples,
                short=short,
            )
        )
        for clip in progress(clips)
    ]
    starts = np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.intp)
    found = ClipEmbeddings(np.concatenate(parts), starts)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as target:
        np.savez(target, rows=found.rows, starts=found.starts)
    return found


def windows_of(
    samples: NDArray[np.int16], *, n_samples: int, hop_samples: int, short: str
) -> NDArray[np.int16]:
    """Return all whole windows of a clip, one hop apart and centred; at least one.

    Parameters
    ----------
    samples : ndarray of int16, shape (n,)
    n_samples, hop_samples : int
        Length of a window, and distance between windows.
    short : {"pad", "tile"}
        Pad a shorter clip with zeros, or repeat it.

    Returns
    -------
    windows : ndarray of int16, shape (n_windows, n_samples)
    """
    extra = len(samples) - n_samples
    if extra < 0:
        if short == "tile" and len(samples):
            return np.resize(samples, n_samples)[None]
        return np.pad(samples, (0, -extra))[None]
    first = extra % hop_samples // 2
    starts = range(first, extra + 1, hop_samples)
    return np.stack([samples[start : start + n_samples] for start in starts])
