"""Short spoken phrases with transcripts but without word times, such as AN4."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import soundfile

from kws.errors import ConfigError
from training.datasets.folders import split_of

INDEX = "index.csv"
COLUMNS = ("utterance", "speaker", "transcript")


@dataclass(frozen=True)
class Phrase:
    """One recording and the words in it."""

    path: Path
    speaker: str
    words: tuple[str, ...]

    @property
    def split(self) -> str:
        """Training, validation or testing, by the hash of the speaker's name."""
        return split_of(self.speaker)


def read_phrases(root: Path) -> list[Phrase]:
    """Return the phrases of a folder: ``index.csv`` and ``SPEAKER/UTTERANCE.wav``.

    Raises
    ------
    ConfigError
        If there is no table, or a column of it is missing.
    """
    table = root / INDEX
    if not table.is_file():
        raise ConfigError(f"{table}: expected a table of phrases, found none")
    with open(table, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        if missing := set(COLUMNS) - set(reader.fieldnames or ()):
            raise ConfigError(f"{table}: expected the columns {', '.join(sorted(missing))}")
        return [
            Phrase(
                root / row["speaker"] / f"{row['utterance']}.wav",
                row["speaker"],
                tuple(row["transcript"].lower().split()),
            )
            for row in reader
        ]


def without_words(root: Path | None, split: str, words: frozenset[str]) -> list[tuple[Path, int]]:
    """Return the recordings of a split without any of `words`, each with its length in samples."""
    if root is None:
        return []
    return [
        (phrase.path, soundfile.info(str(phrase.path)).frames)
        for phrase in read_phrases(root)
        if phrase.split == split and not words & set(phrase.words)
    ]
