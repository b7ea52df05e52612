"""A word cut from running speech, laid into a second as one that was said by itself."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.batches.augmentation import add_noise, to_int16
from training.datasets import synthetic_noise as made_noise
from training.datasets.clips import SAMPLE_RATE, Clip

SNR_DB = 25.0


@dataclass(frozen=True)
class PlacedWord:
    """A cut in the middle of a second of soft made noise, the same each time.

    Bare zeros round it would be what no recording has, and what training never hears.
    """

    clip: Clip

    @property
    def label(self) -> str:
        """The word."""
        return self.clip.label

    @property
    def path(self) -> Path:
        """The recording that it was cut from."""
        return self.clip.path

    @property
    def start(self) -> int:
        """First sample of the cut in the recording."""
        return self.clip.start

    @property
    def n_samples(self) -> int | None:
        """Samples of the cut."""
        return self.clip.n_samples

    def read(self) -> NDArray[np.int16]:
        """Return mono int16 ``(16_000,)`` at 16 kHz, or the cut itself if it is longer."""
        samples = self.clip.read()
        missing = max(0, SAMPLE_RATE - len(samples))
        whole = np.pad(samples, (missing // 2, missing - missing // 2)).astype(np.float32)
        seed = zlib.crc32(f"{self.clip.path.name} {self.clip.start}".encode())
        noise = made_noise.coloured(np.random.default_rng(seed), len(whole))
        return to_int16(add_noise(whole, noise, SNR_DB))
