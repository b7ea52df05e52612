"""Negative examples: embeddings of hours of speech and noise, small enough to ship."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import write_atomically

# Kinds of segments.
SPEECH, WORD, NOISE = 0, 1, 2
KINDS = {"speech": SPEECH, "word": WORD, "noise": NOISE}
ARRAYS = ("steps", "lengths", "kinds", "groups", "labels")
CHUNK = 8_192
"""Windows whose embeddings are made at once: about 16 MB."""


@dataclass(frozen=True)
class Negatives:
    """Audio without the word, stored as the steps of a backbone.

    A window's embedding is `moments` consecutive steps, and the next window shares all but one of
    them. Storing steps takes little more than one step per window.
    """

    steps: NDArray[np.int8]
    """``(n_steps, step_size)``, segment after segment."""

    lengths: NDArray[np.int32]
    """``(n_segments,)``: number of steps of each segment of uninterrupted audio."""

    kinds: NDArray[np.uint8]
    """``(n_segments,)``: one of `KINDS`."""

    groups: NDArray[np.integer[Any]]
    """``(n_segments,)``: speaker or recording, so that heads can be tested on other ones."""

    labels: NDArray[np.str_]
    """``(n_segments,)``: the single word that is said, if known; else empty."""

    moments: int
    backbone: str
    """SHA-256 of the backbone that made them."""

    about: dict[str, Any]
    """Provenance: data, licences, command."""

    @cached_property
    def _first_steps(self) -> NDArray[np.intp]:
        """First step of each window."""
        ends = np.cumsum(self.lengths)
        return np.concatenate(
            [np.empty(0, np.intp)]
            + [
                np.arange(end - length, end - self.moments + 1)
                for end, length in zip(ends, self.lengths)
            ]
        )

    @cached_property
    def _n_windows(self) -> NDArray[np.int32]:
        """Number of windows of each segment."""
        return np.maximum(0, self.lengths - self.moments + 1)

    @cached_property
    def segments(self) -> NDArray[np.intp]:
        """``(n_windows,)``: the segment of each window."""
        return np.repeat(np.arange(len(self.lengths)), self._n_windows)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._first_steps)

    def windows(self, chosen: NDArray[np.intp] | None = None) -> NDArray[np.int8]:
        """Return the int8 embeddings of some or all windows, ``(n, moments * step_size)``."""
        first = self._first_steps if chosen is None else self._first_steps[chosen]
        rows = self.steps[first[:, None] + np.arange(self.moments)]
        return np.asarray(rows.reshape(len(rows), -1))

    def chunks(self) -> Iterator[NDArray[np.int8]]:
        """Yield the embeddings of all windows, some thousands at a time."""
        for first in range(0, len(self), CHUNK):
            yield self.windows(np.arange(first, min(first + CHUNK, len(self))))

    def speech_hours(self, hop_s: float) -> float:
        """Return the duration of the running speech."""
        return int(np.sum(self.kinds[self.segments] == SPEECH)) * hop_s / 3600

    def speech_segments(self, logits: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Split the logits ``(n_windows, ...)`` of all windows; return those of speech segments."""
        ends = np.cumsum(self._n_windows)
        return [
            part
            for part, kind in zip(np.split(logits, ends[:-1]), self.kinds)
            if kind == SPEECH and len(part)
        ]

    def without(self, words: Sequence[str]) -> Negatives:
        """Return the negatives without segments in which one of `words` is said alone."""
        return self.select(~np.isin(self.labels, [word.lower() for word in words]))

    def select(self, chosen: NDArray[Any]) -> Negatives:
        """Return some of the segments, by a mask."""
        parts: dict[str, Any] = {name: getattr(self, name)[chosen] for name in ARRAYS[1:]}
        return replace(self, steps=self.steps[np.repeat(chosen, self.lengths)], **parts)

    def joined(self, other: Negatives) -> Negatives:
        """Return these segments followed by another's."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS
        }
        return replace(self, **joined)

    def write(self, path: Path) -> None:
        """Write them as a compressed .npz file, atomically."""
        buffer = io.BytesIO()
        about = {"moments": self.moments, "backbone": self.backbone, **self.about}
        arrays = {name: getattr(self, name) for name in ARRAYS}
        np.savez_compressed(buffer, **arrays, about=np.array(json.dumps(about)))
        write_atomically(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path, *, backbone: str) -> Negatives:
        """Return the negatives in a file.

        Raises
        ------
        ConfigError
            If it is missing or damaged, or was made with another backbone.
        """
        try:
            # No pickles: a file from elsewhere may hold numbers and text only.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                moments, made_by = int(about.pop("moments")), str(about.pop("backbone"))
                values = {name: arrays[name] for name in ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path}: expected a file of negatives: {error}") from error
        if made_by != backbone:
            raise ConfigError(
                f"{path}: made with another backbone (SHA-256 {made_by[:16]}…, expected "
                f"{backbone[:16]}…)"
            )
        return cls(**values, moments=moments, backbone=made_by, about=about)
