"""The embeddings of many clips, kept on disk: a second head has them at once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.files import atomic_path
from training.embedding.backbone import Backbone, Embedder
from training.transfer.windows import windows_of

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Embedded:
    """Clips as embeddings, each of as many windows as it has."""

    rows: NDArray[np.float32]
    """``(n_windows, size)``, clip after clip."""

    starts: NDArray[np.intp]
    """First row of each clip, and behind the last the number of rows."""

    def of(self, index: int) -> NDArray[np.float32]:
        """Return the windows of a clip, ``(n_windows, size)``."""
        return self.rows[self.starts[index] : self.starts[index + 1]]


def embed_clips(
    backbone: Backbone, clips: Sequence[Any], *, short: str, cache: Path, progress: Progress
) -> Embedded:
    """Return the embeddings of clips, from `cache` if these clips were embedded before.

    Parameters
    ----------
    backbone : Backbone
    clips : sequence of SourceClip
    short : {"pad", "tile"}
        What becomes of clips shorter than a window.
    cache : Path
        Folder; made if need be.
    progress : callable
        Wraps the clips that are worked through.
    """
    path = cache / f"{backbone.name}-{_key(backbone, clips, short)[:16]}.npz"
    if path.is_file():
        with np.load(path) as known:
            logger.info("%s: embeddings of %d clips are there", path, len(clips))
            return Embedded(known["rows"], known["starts"])
    embedder = Embedder(backbone)
    parts = []
    for clip in progress(clips):
        windows = windows_of(
            clip.read(),
            n_samples=backbone.window_samples,
            hop_samples=backbone.hop_samples,
            short=short,
        )
        parts.append(embedder.embed(windows))
    starts = np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.intp)
    found = Embedded(np.concatenate(parts), starts)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as target:
        np.savez(target, rows=found.rows, starts=found.starts)
    return found


def _key(backbone: Backbone, clips: Sequence[Any], short: str) -> str:
    """Return what changes with the network and with every clip, also one that was replaced."""
    digest = hashlib.sha256(f"{backbone.fingerprint} {short}\n".encode())
    for clip in clips:
        # The clips of an archive lie, as it were, in a folder with its name.
        state = (clip.path if clip.path.is_file() else clip.path.parent).stat()
        digest.update(f"{clip!r} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
