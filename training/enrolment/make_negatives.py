"""Make the bank of negative embeddings that ships beside a backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.folders import AUDIO_SUFFIXES, NOISE_FOLDER
from training.embedding.word_backbone import Backbone
from training.enrolment.negatives import KINDS, Negatives

# Windows of a piece at most: many short pieces hold more different sounds than few long ones, but
# each costs the steps of its first window.
LONGEST = {"speech": 64, "word": 64, "noise": 12}
# Of the steps' deviation. Coarser numbers compress better, which makes room for more speech; that
# a negative is where it is only to within this is less than noise does to it.
COARSENESS = 1.0


@dataclass(frozen=True)
class Source:
    """A folder of audio, and how much of it is kept."""

    kind: str
    """One of `KINDS`: running speech, a folder a word, or noise."""

    folder: Path
    n_windows: int
    """Windows to keep, in pieces drawn evenly from all."""


@dataclass(frozen=True)
class Piece:
    """Uninterrupted audio, as steps of a backbone."""

    steps: NDArray[np.int8]
    kind: str
    group: int
    label: str


class NegativeMaker:
    """Turn folders of audio into pieces of steps.

    With `each_file` each file is a group of its own; else its name tells the speaker.
    """

    def __init__(self, backbone: Backbone, *, each_file: bool = False) -> None:
        self._backbone = backbone
        self._each_file = each_file
        self._groups: dict[str, int] = {}

    def pieces(self, source: Source) -> Iterator[Piece]:
        """Yield the pieces of each file of a source.

        Raises
        ------
        ConfigError
            If there is no audio, or none is as long as a window.
        """
        files = sorted(p for p in source.folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise ConfigError(f"{source.folder}: expected audio files, found none")
        file = self._backbone.file
        length = LONGEST[source.kind] + file.moments - 1
        is_empty = True
        for path in files:
            word = path.parent.name if source.kind == "word" else ""
            if word == NOISE_FOLDER:
                continue
            samples = Clip(path, word).read()
            if word:
                # Said alone: the window comes to it, and goes on.
                samples = np.pad(samples, file.window_samples // 4)
            steps = self._backbone.steps(samples)
            group = self._group(path, source.kind)
            for first in range(0, len(steps) - file.moments + 1, LONGEST[source.kind]):
                piece = steps[first : first + length]
                is_empty = False
                yield Piece(piece, source.kind, group, word.lower())
        if is_empty:
            raise ConfigError(
                f"{source.folder}: expected audio of at least "
                f"{file.window_samples / SAMPLE_RATE:.1f} s, found only shorter files"
            )

    def _group(self, path: Path, kind: str) -> int:
        if self._each_file:
            return self._groups.setdefault(str(path), len(self._groups))
        # LibriSpeech names a file SPEAKER-CHAPTER-NUMBER, Speech Commands SPEAKER_nohash_N,
        # ESC FOLD-SOUND: the first part is who or where it is from.
        name = kind + path.stem.replace("_", "-").split("-", 1)[0]
        return self._groups.setdefault(name, len(self._groups))


def make_negatives(
    backbone: Backbone, sources: list[Source], *, seed: int = 1, command: str = ""
) -> Negatives:
    """Return the bank of pieces drawn evenly from each source."""
    maker = NegativeMaker(backbone)
    rng = np.random.default_rng(seed)
    kept: list[Piece] = []
    for source in sources:
        found = list(maker.pieces(source))
        left = source.n_windows
        for index in rng.permutation(len(found)):
            if left <= 0:
                break
            kept.append(found[index])
            left -= len(found[index].steps) - backbone.file.moments + 1
    about = {
        "command": command,
        "sources": [f"{one.kind}: {one.folder.name}" for one in sources],
        "attribution": list(backbone.file.attribution),
    }
    made = bank_of(kept, backbone, about)
    return dataclasses.replace(made, steps=coarse(made.steps))


def bank_of(pieces: list[Piece], backbone: Backbone, about: dict[str, Any]) -> Negatives:
    """Return pieces as a bank."""
    return Negatives(
        steps=np.concatenate([one.steps for one in pieces]),
        lengths=np.array([len(one.steps) for one in pieces], np.int32),
        kinds=np.array([KINDS[one.kind] for one in pieces], np.uint8),
        groups=np.array([one.group for one in pieces], np.int32),
        labels=np.array([one.label for one in pieces]),
        moments=backbone.file.moments,
        backbone=backbone.file.sha256,
        about=about,
    )


def coarse(steps: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return steps rounded to multiples of a part of their deviation."""
    unit = max(1, round(COARSENESS * float(steps.std(axis=0).mean())))
    rounded = np.round(steps.astype(np.float32) / unit) * unit
    return np.asarray(np.clip(rounded, -128, 127), np.int8)
