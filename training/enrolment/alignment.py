"""Find in each recording the window that agrees best with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.datasets.clips import SAMPLE_RATE
from training.embedding.word_backbone import Backbone
from training.enrolment.recordings import Recording

FloatArray = NDArray[np.float32]
# The loudest stretch may be another sound, or one syllable of two: look so far around it.
REACH, STEP = SAMPLE_RATE * 300 // 1000, SAMPLE_RATE * 30 // 1000
ROUNDS = 3


def aligned(recordings: Sequence[Recording], backbone: Backbone) -> list[Recording]:
    """Return the recordings of one word, their middles where their embeddings agree most.

    Where the loudest stretch is found says little of where the word is: with others of the same
    word to compare, each middle moves to the window that is most like the mean of all.
    """
    if len(recordings) < 2:
        return list(recordings)
    shifts = np.arange(-REACH, REACH + 1, STEP)
    n_samples = backbone.file.window_samples
    # Float32 (n_recordings, n_shifts, size), unit length.
    found = np.stack(
        [
            _unit(
                backbone.embed(
                    one.window(shift=-int(shift), n_samples=n_samples) for shift in shifts
                )
            )
            for one in recordings
        ]
    )
    chosen = np.full(len(recordings), len(shifts) // 2)
    for _ in range(ROUNDS):
        rows = found[np.arange(len(recordings)), chosen]
        for index in range(len(recordings)):
            others = (rows.sum(axis=0) - rows[index]) / (len(recordings) - 1)
            likeness = found[index] @ others
            # A tie of places goes to the one that is nearest to the loudest stretch.
            likeness -= 0.002 * np.abs(shifts) / REACH
            chosen[index] = int(np.argmax(likeness))
            rows[index] = found[index, chosen[index]]
    return [
        replace(one, middle=one.middle + int(shifts[place]))
        for one, place in zip(recordings, chosen)
    ]


def _unit(embeddings: FloatArray) -> FloatArray:
    centred = embeddings - embeddings.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
