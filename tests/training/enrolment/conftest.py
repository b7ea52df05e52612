"""Recordings of words by synthesised voices."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

WORD = "computer"


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> Path:
    """One folder per word, with fourteen voices each, in 1.6 s of faint noise."""
    if not shutil.which("espeak-ng"):
        pytest.skip("needs espeak-ng; apt install espeak-ng")
    from training.datasets.synthetic_speech import say, voices

    root = tmp_path_factory.mktemp("spoken")
    for number, word in enumerate((WORD, "banana")):
        folder = root / word
        folder.mkdir()
        rng = np.random.default_rng(number)
        wanted = voices(rng)
        for index in range(14):
            said = say(next(wanted), word)[:16_000]
            samples = rng.normal(0, 12, 25_600)
            samples[4_800 : 4_800 + len(said)] += 0.5 * said
            soundfile.write(folder / f"{index:02d}.wav", samples.astype(np.int16), 16_000)
    return root
