"""Synthesised voices beside few recordings: those most similar to them represent other people.

Some synthesised accents say another word. So a head fitted to the recordings alone scores every
voice, and only the best ones are used, with little weight (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError
from training.datasets.clips import SAMPLE_RATE
from training.datasets.synthetic_speech import WORD, are_installed, drawn_voices, synthesise
from training.embedding.heads import Examples, Head, fit_logistic, stack
from training.enrolment.recordings import Recording, read_recordings

FloatArray = NDArray[np.float32]
ENOUGH_RECORDINGS = 5
"""Words with so many recordings need no voices."""

N_VOICES, MAX_USED = 60, 15
"""Voices that are synthesised, and how many are used at most."""

MIN_PERCENTILE = 99.0
"""A voice must score above this percentile of the negatives; most of these are hard ones."""

VOICE_COPIES = 8
"""Augmented copies of each voice."""

VOICE_SHARE = 0.2
"""Share of the positives that is synthesised."""

LONGEST_S = 3.0


def synthesise_voices(
    recordings: Sequence[Recording],
    folder: Path,
    *,
    n_voices: int,
    seed: int,
    tell: Callable[[str], None],
) -> list[Recording]:
    """Return the word of a few recordings in synthesised voices, which are kept in a folder.

    Returns none if there are enough recordings. Also returns none, and calls `tell` with the
    reason, if no synthesiser is installed, if it fails, or if it cannot speak the word.
    """
    word = recordings[0].word
    if len(recordings) >= ENOUGH_RECORDINGS or not n_voices:
        return []
    if not are_installed():
        tell(f"{word}: only {len(recordings)} recordings; install espeak-ng or flite to add voices")
        return []
    if not WORD.fullmatch(word):
        tell(f"{word}: no synthesised voices, which take only letters, ' and -")
        return []
    length = int(LONGEST_S * SAMPLE_RATE)
    try:
        for _ in synthesise([word], folder, n_clips=n_voices, seed=seed, most_samples=length):
            pass
        found = read_recordings(word, folder / word, skip=lambda why: None)
    except (AudioError, ConfigError) as error:
        tell(f"{word}: no synthesised voices: {error}")
        return []
    # Files of an earlier run with other settings are ignored.
    files = {voice.file for voice in drawn_voices(n_voices, seed=seed)}
    return [one for one in found if one.path.name in files]


def add_voices(
    examples: Examples, voices: Sequence[Sequence[FloatArray]]
) -> tuple[Examples, list[int]]:
    """Return the examples with the voices most similar to them, and their number per word.

    Parameters
    ----------
    examples : Examples
    voices : sequence of sequence of ndarray of float32, shape (n_copies, size)
        For each word, the copies of each voice; empty for words with enough recordings.
    """
    head = fit_logistic(examples)
    parts = [examples.positives[examples.labels == n] for n in range(len(examples.words))]
    n_used = [0] * len(parts)
    for number, candidates in enumerate(voices):
        floor = float(np.percentile(head.logits(examples.negatives)[:, number], MIN_PERCENTILE))
        used = _most_similar(candidates, head, number, floor)
        if used:
            n_used[number] = len(used)
            some = _limited(np.concatenate(used), n_recorded=len(parts[number]))
            parts[number] = np.concatenate([parts[number], some])
    positives, labels = stack(parts)
    return replace(examples, positives=positives, labels=labels), n_used


def _most_similar(
    voices: Sequence[FloatArray], head: Head, word: int, floor: float
) -> list[FloatArray]:
    """Return the copies of the voices that the head scores highest, above `floor`."""
    scores = [float(np.median(head.logits(copies)[:, word])) for copies in voices]
    best = np.argsort(scores)[::-1][:MAX_USED]
    return [voices[index] for index in best if scores[index] > floor]


def _limited(copies: FloatArray, *, n_recorded: int) -> FloatArray:
    """Return as many copies as `VOICE_SHARE` allows beside those of the recordings."""
    n_rows = min(len(copies), max(1, round(VOICE_SHARE / (1 - VOICE_SHARE) * n_recorded)))
    return copies[np.linspace(0, len(copies) - 1, n_rows).astype(np.intp)]
