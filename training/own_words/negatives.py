"""Embeddings of what is not the word: hours of speech and noise, small enough to ship."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.run_folder import atomically

# What a window is of.
SPEECH, WORD, NOISE = 0, 1, 2
KINDS = {"speech": SPEECH, "word": WORD, "noise": NOISE}


@dataclass(frozen=True)
class Negatives:
    """Windows without the word."""

    embeddings: NDArray[np.int8]
    """``(n_windows, size)``, as the backbone gives them."""

    kinds: NDArray[np.uint8]
    """``(n_windows,)``: one of `KINDS`. Those of speech come in pairs one hop apart, one behind
    the other, because a detection needs two hops in a row."""

    groups: NDArray[np.int16]
    """``(n_windows,)``: the speaker or recording, so that what was learned on one is tried on
    another."""

    speech_hours: float
    """How long the running speech lasts of which windows were drawn."""

    labels: NDArray[np.str_]
    """``(n_windows,)``: the word that is said, if that is known; else empty."""

    backbone: str
    """SHA-256 of the backbone that made them."""

    about: dict[str, Any]
    """Where they come from: data, licences, command."""

    def speech_pairs(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the spotter makes of each pair of speech: ``(n_pairs, ...)``.

        It averages two posteriors. Their mean is above 1/2 where the sum of their logits is above
        0, so that the mean of two logits is what is held against a threshold.
        """
        speech = logits[self.kinds == SPEECH]
        return np.asarray((speech[0::2] + speech[1::2]) / 2)

    def without(self, words: Sequence[str]) -> Negatives:
        """Return the windows in which none of `words` is said."""
        return self.taken(~np.isin(self.labels, [word.lower() for word in words]))

    def taken(self, chosen: NDArray[Any]) -> Negatives:
        """Return the chosen windows."""
        return Negatives(
            self.embeddings[chosen],
            self.kinds[chosen],
            self.groups[chosen],
            self.speech_hours,
            self.labels[chosen],
            self.backbone,
            self.about,
        )

    def write(self, path: Path) -> None:
        """Write them as a compressed .npz file, never half of it."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            embeddings=self.embeddings,
            kinds=self.kinds,
            groups=self.groups,
            labels=self.labels,
            about=np.array(
                json.dumps(
                    {
                        "speech_hours": self.speech_hours,
                        "backbone": self.backbone,
                        **self.about,
                    }
                )
            ),
        )
        atomically(path, lambda target: target.write_bytes(buffer.getvalue()))

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
                    arrays["embeddings"],
                    arrays["kinds"],
                    arrays["groups"],
                    float(about.pop("speech_hours")),
                    arrays["labels"],
                    str(about.pop("backbone")),
                    about,
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path}: expected a bank of negative embeddings: {error}") from error
        if read.backbone != backbone:
            raise ConfigError(
                f"{path}: made by another backbone (sha256 {read.backbone[:16]}…, this one has "
                f"{backbone[:16]}…)"
            )
        return read
