"""Make negatives from folders of audio: those that ship beside a backbone, and a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.folders import NOISE_FOLDER, recordings_in, speaker_of
from training.embedding.backbone import WordEmbedder
from training.embedding.negatives import KINDS, Negatives

# Longest segment, in windows. Many short segments hold more different sounds than few long ones,
# but each costs the steps of its first window.
LONGEST = {"speech": 64, "word": 64, "noise": 12}
MAX_USER_WINDOWS = 100_000
"""Windows kept of a user's own folders: more than two hours."""


@dataclass(frozen=True)
class NegativeFolder:
    """A folder of audio, and how much of it to keep."""

    kind: str
    """One of `KINDS`: running speech, a folder per word, or noise."""

    path: Path
    n_windows: int
    """Windows to keep, in segments drawn evenly from all files."""


@dataclass(frozen=True)
class Segment:
    """Uninterrupted audio, as the steps of a backbone."""

    steps: NDArray[np.int8]
    kind: str
    group: int
    label: str


def segments(
    embedder: WordEmbedder, folder: NegativeFolder, groups: dict[str, int], *, each_file: bool
) -> Iterator[Segment]:
    """Yield the segments of each file of a folder.

    Each speaker is a group; with `each_file`, each file is. `groups` gets the number of each.

    Raises
    ------
    ConfigError
        If there is no audio, or no file is as long as a window.
    """
    backbone = embedder.description
    longest = LONGEST[folder.kind]
    is_empty = True
    for path in recordings_in(folder.path, deep=True):
        word = path.parent.name if folder.kind == "word" else ""
        if word == NOISE_FOLDER:
            continue
        samples = Clip(path, word).read()
        if word:
            # A word said alone moves into the window and out of it.
            samples = np.pad(samples, backbone.window_samples // 4)
        steps = embedder.steps(samples)
        name = str(path) if each_file else folder.kind + speaker_of(path)
        group = groups.setdefault(name, len(groups))
        for first in range(0, len(steps) - backbone.moments + 1, longest):
            part = steps[first : first + longest + backbone.moments - 1]
            is_empty = False
            yield Segment(part, folder.kind, group, word.lower())
    if is_empty:
        raise ConfigError(
            f"{folder.path}: expected audio of at least "
            f"{backbone.window_samples / SAMPLE_RATE:.1f} s, found only shorter files"
        )


def make_negatives(
    embedder: WordEmbedder, folders: Sequence[NegativeFolder], *, seed: int = 1, command: str = ""
) -> Negatives:
    """Return the negatives that ship beside a backbone: segments drawn evenly from each folder."""
    groups: dict[str, int] = {}
    rng = np.random.default_rng(seed)
    kept: list[Segment] = []
    for folder in folders:
        found = list(segments(embedder, folder, groups, each_file=False))
        left = folder.n_windows
        for index in rng.permutation(len(found)):
            if left <= 0:
                break
            kept.append(found[index])
            left -= len(found[index].steps) - embedder.description.moments + 1
    about = {
        "command": command,
        "sources": [f"{one.kind}: {one.path.name}" for one in folders],
        "attribution": list(embedder.backbone.attribution),
    }
    made = _joined(kept, embedder, about)
    return replace(made, steps=coarse(made.steps))


def add_user_folders(
    shipped: Negatives, embedder: WordEmbedder, folders: Sequence[Path]
) -> Negatives:
    """Return the shipped negatives and all audio in a user's folders.

    The user's audio counts as running speech, because the words must not fire in it.

    Raises
    ------
    ConfigError
        If a folder holds no audio as long as a window.
    """
    groups: dict[str, int] = {}
    first_group = int(shipped.groups.max(initial=0)) + 1
    found = [
        replace(segment, group=first_group + segment.group)
        for folder in folders
        for segment in segments(
            embedder, NegativeFolder("speech", folder, MAX_USER_WINDOWS), groups, each_file=True
        )
    ]
    order = np.random.default_rng(1).permutation(len(found))
    n_windows = np.array([len(found[i].steps) - shipped.moments + 1 for i in order])
    kept = order[: 1 + int(np.searchsorted(np.cumsum(n_windows), MAX_USER_WINDOWS))]
    return shipped.joined(_joined([found[i] for i in np.sort(kept)], embedder, {}))


def coarse(steps: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return steps rounded to multiples of about their standard deviation.

    Coarse numbers compress better, which leaves room for more speech; noise moves a step by more.
    """
    unit = max(1, round(float(steps.std(axis=0).mean())))
    rounded = np.round(steps.astype(np.float32) / unit) * unit
    return np.asarray(np.clip(rounded, -128, 127), np.int8)


def _joined(parts: list[Segment], embedder: WordEmbedder, about: dict[str, Any]) -> Negatives:
    return Negatives(
        steps=np.concatenate([one.steps for one in parts]),
        lengths=np.array([len(one.steps) for one in parts], np.int32),
        kinds=np.array([KINDS[one.kind] for one in parts], np.uint8),
        groups=np.array([one.group for one in parts], np.int32),
        labels=np.array([one.label for one in parts]),
        moments=embedder.description.moments,
        backbone=embedder.description.sha256,
        about=about,
    )
