"""Synthetic running speech with word times, in the layout of the data kit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
WORD_S, GAP_S = 0.3, 0.1


def write_speech(root: Path, said: Mapping[str, Iterable[str]], *, split: str = "part") -> Path:
    """Write one utterance for each (file name, words); every word has a tone of its own.

    Words are 300 ms long and begin every 400 ms, the first at 100 ms.
    """
    (root / split).mkdir(parents=True)
    rows = ["utterance,word,start_sample,n_samples"]
    tones: dict[str, float] = {}
    for name, words in said.items():
        pieces = [np.zeros(round(GAP_S * RATE))]
        for word in words:
            hz = tones.setdefault(word, 400.0 * 1.2 ** len(tones))
            rows.append(f"{name},{word.upper()},{sum(map(len, pieces))},{round(WORD_S * RATE)}")
            times = np.arange(round(WORD_S * RATE)) / RATE
            pieces += [5_000 * np.sin(2 * np.pi * hz * times), np.zeros(round(GAP_S * RATE))]
        rng = np.random.default_rng(len(tones))
        samples = np.concatenate(pieces)
        samples += rng.normal(0, 20, len(samples))
        soundfile.write(str(root / split / f"{name}.wav"), samples.astype(np.int16), RATE)
    (root / f"{split}.words.csv").write_text("\n".join(rows) + "\n")
    return root
