"""Synthesised voices beside few recordings: those most like them stand for other people.

A synthesiser says a word in voices that a few recordings do not have, but also wrongly: some of
its accents say another word. So the recordings choose. A head that they alone have taught hears
every voice, and those that it hears best teach with them; far from all, and not much
(docs/experiments.md has what more of them does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError
from training.datasets.clips import SAMPLE_RATE
from training.datasets.synthetic_speech import WORD, are_installed, drawn_voices, synthesise
from training.embedding import fit_head as heads
from training.embedding.head import Head
from training.enrolment.recordings import Recording, read_recordings

FloatArray = NDArray[np.float32]
FEW = 5
"""Recordings of a word from which on people are enough."""

N_VOICES, N_ALIKE = 60, 15
"""Voices that are tried, and that teach at most."""

LEAST_LIKE = 99.0
"""Percentile of the negatives' logits, most of them hard ones, that a voice must lie above: what
the recordings do not take for their word is another word."""

COPIES = 8
"""Windows made of what each says: a room or a distance more is not what is missing."""

SHARE = 0.2
"""Part of the positives that are synthesised."""

LONGEST_S = 3.0


def synthesised(
    recordings: Sequence[Recording],
    folder: Path,
    *,
    n_voices: int,
    seed: int,
    tell: Callable[[str], None],
) -> list[Recording]:
    """Return the word of a few recordings in synthesised voices, which are kept in a folder.

    None where the recordings are enough, and, which is told, where no synthesiser is installed,
    it fails, or the word is none that it can be asked to say.
    """
    word = recordings[0].word
    if len(recordings) >= FEW or not n_voices:
        return []
    if not are_installed():
        tell(f"{word}: few recordings; with espeak-ng or flite installed, other voices would help")
        return []
    if not WORD.fullmatch(word):
        tell(f"{word}: no synthesised voices; they can be asked for letters, ' and - alone")
        return []
    length = int(LONGEST_S * SAMPLE_RATE)
    try:
        for _ in synthesise([word], folder, n_clips=n_voices, seed=seed, most_samples=length):
            pass
        found = read_recordings(word, folder / word, skip=lambda why: None)
    except (AudioError, ConfigError) as error:
        tell(f"{word}: no synthesised voices: {error}")
        return []
    # Those of an earlier run with other settings may lie there too.
    files = {voice.file for voice in drawn_voices(n_voices, seed=seed)}
    return [one for one in found if one.path.name in files]


def with_voices(
    words: tuple[str, ...],
    positives: FloatArray,
    labels: NDArray[np.intp],
    spoken: Sequence[Sequence[FloatArray]],
    negatives: FloatArray,
) -> tuple[FloatArray, NDArray[np.intp], list[int]]:
    """Return positives and labels with the voices that they make a head hear best among them.

    And of each word, how many voices those are.

    Parameters
    ----------
    words : tuple of str
    positives : float32 ``(n, size)``
        Copies of recordings.
    labels : int ``(n,)``
        The index of their word.
    spoken : for each word a sequence of float32 ``(n_copies, size)``
        Copies of what each voice says; none for a word of many recordings.
    negatives : float32 ``(m, size)``
    """
    head = heads.logistic(heads.Examples(words, positives, labels, negatives))
    parts = [positives[labels == number] for number in range(len(words))]
    n_alike = [0] * len(words)
    for number, voices in enumerate(spoken):
        floor = float(np.percentile(head.logits(negatives)[:, number], LEAST_LIKE))
        alike = _most_alike(voices, head, number, floor)
        if alike:
            n_alike[number] = len(alike)
            some = _some_of(np.concatenate(alike), n_recorded=len(parts[number]))
            parts[number] = np.concatenate([parts[number], some])
    return (*heads.stacked(parts), n_alike)


def _most_alike(
    voices: Sequence[FloatArray], head: Head, number: int, floor: float
) -> list[FloatArray]:
    """Return the copies of the voices that a head hears best as its word `number`, if any."""
    likeness = [float(np.median(head.logits(copies)[:, number])) for copies in voices]
    best = np.argsort(likeness)[::-1][:N_ALIKE]
    return [voices[index] for index in best if likeness[index] > floor]


def _some_of(copies: FloatArray, *, n_recorded: int) -> FloatArray:
    """Return so many of the copies that they are their share beside those of recordings."""
    n_rows = min(len(copies), max(1, round(SHARE / (1 - SHARE) * n_recorded)))
    return copies[np.linspace(0, len(copies) - 1, n_rows).astype(np.intp)]
