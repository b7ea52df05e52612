"""Embeddings of what is not the word: hours of speech and noise, small enough to ship."""

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

# What a run is of.
SPEECH, WORD, NOISE = 0, 1, 2
KINDS = {"speech": SPEECH, "word": WORD, "noise": NOISE}
CHUNK = 8_192
"""Windows whose embeddings are laid end to end at once: some 16 MB."""


@dataclass(frozen=True)
class Negatives:
    """Audio without the word, as the steps that a backbone makes of it hop by hop.

    A window's embedding is `moments` steps in a row; the next window has all but one of them
    too, so that a run of audio is kept for little more than one step a window.
    """

    steps: NDArray[np.int8]
    """``(n_steps, step_size)``, run behind run."""

    lengths: NDArray[np.int32]
    """``(n_runs,)``: steps of each run, an uninterrupted piece of audio."""

    kinds: NDArray[np.uint8]
    """``(n_runs,)``: one of `KINDS`."""

    groups: NDArray[np.integer[Any]]
    """``(n_runs,)``: the speaker or recording, so that what was learned on one is tried on
    another."""

    labels: NDArray[np.str_]
    """``(n_runs,)``: the word that is said, if that is known; else empty."""

    moments: int
    backbone: str
    """SHA-256 of the backbone that made them."""

    about: dict[str, Any]
    """Where they come from: data, licences, command."""

    @cached_property
    def _begins(self) -> NDArray[np.intp]:
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
    def runs(self) -> NDArray[np.intp]:
        """``(n_windows,)``: the run that each window is of."""
        n_windows = np.maximum(0, self.lengths - self.moments + 1)
        return np.repeat(np.arange(len(self.lengths)), n_windows)

    def __len__(self) -> int:
        """Windows."""
        return len(self._begins)

    def windows(self, chosen: NDArray[np.intp] | None = None) -> NDArray[np.int8]:
        """Return the embeddings of windows by their numbers, ``(n, moments * step_size)``."""
        begins = self._begins if chosen is None else self._begins[chosen]
        rows = self.steps[begins[:, None] + np.arange(self.moments)]
        return np.asarray(rows.reshape(len(rows), -1))

    def chunks(self) -> Iterator[NDArray[np.int8]]:
        """Yield the embeddings of all windows, some thousand at once."""
        for first in range(0, len(self), CHUNK):
            yield self.windows(np.arange(first, min(first + CHUNK, len(self))))

    def speech_hours(self, hop_s: float) -> float:
        """Return how long the running speech lasts."""
        return int(np.sum(self.kinds[self.runs] == SPEECH)) * hop_s / 3600

    def speech_runs(self, logits: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the logits ``(n_windows, ...)`` of each run of speech, ``(n, ...)``."""
        ends = np.cumsum(np.maximum(0, self.lengths - self.moments + 1))
        return [
            part
            for part, kind in zip(np.split(logits, ends[:-1]), self.kinds)
            if kind == SPEECH and len(part)
        ]

    def without(self, words: Sequence[str]) -> Negatives:
        """Return the runs in which none of `words` is said alone."""
        return self.taken(~np.isin(self.labels, [word.lower() for word in words]))

    def taken(self, chosen: NDArray[Any]) -> Negatives:
        """Return the chosen runs."""
        return replace(
            self,
            steps=self.steps[np.repeat(chosen, self.lengths)],
            lengths=self.lengths[chosen],
            kinds=self.kinds[chosen],
            groups=self.groups[chosen],
            labels=self.labels[chosen],
        )

    def joined(self, other: Negatives) -> Negatives:
        """Return these runs and another's behind them."""
        return replace(
            self,
            **{
                name: np.concatenate([getattr(self, name), getattr(other, name)])
                for name in ("steps", "lengths", "kinds", "groups", "labels")
            },
        )

    def write(self, path: Path) -> None:
        """Write them as a compressed .npz file, never half of it."""
        buffer = io.BytesIO()
        about = {"moments": self.moments, "backbone": self.backbone, **self.about}
        np.savez_compressed(
            buffer,
            # Step by step: neighbours differ little, and so does what they are compressed to.
            steps=self.steps,
            lengths=self.lengths,
            kinds=self.kinds,
            groups=self.groups,
            labels=self.labels,
            about=np.array(json.dumps(about)),
        )
        write_atomically(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path, *, backbone: str) -> Negatives:
        """Return what a file holds.

        Raises
        ------
        ConfigError
            If it is missing or damaged, or another backbone made it.
        """
        try:
            # No pickles: a file from elsewhere holds numbers and text only.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                read = cls(
                    steps=arrays["steps"],
                    lengths=arrays["lengths"],
                    kinds=arrays["kinds"],
                    groups=arrays["groups"],
                    labels=arrays["labels"],
                    moments=int(about.pop("moments")),
                    backbone=str(about.pop("backbone")),
                    about=about,
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path}: expected a bank of negative embeddings: {error}") from error
        if read.backbone != backbone:
            raise ConfigError(
                f"{path}: made by another backbone (sha256 {read.backbone[:16]}…, this one has "
                f"{backbone[:16]}…)"
            )
        return read
