"""The clips of an evaluation: the 12-class protocol of the field, or every clip of a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from kws.config import SILENCE, UNKNOWN
from kws.errors import ConfigError
from training.datasets import folders
from training.datasets.clips import Clip
from training.datasets.noise import PORTIONS, noise_files

DEFAULT_SEED = 2018


def every_clip(root: Path, labels: Sequence[str]) -> list[Clip]:
    """Return all clips of a one-folder-a-label tree with the labels that a model should give.

    A folder that is not a label counts as ``_unknown_`` where the model has that label.

    Raises
    ------
    ConfigError
        If there is no audio, or no label fits a folder.
    """
    return [
        replace(Clip(path, path.parent.name), label=label_of(path.parent.name, labels, root))
        for path in folders.audio_files(root)
    ]


def label_of(word: str, labels: Sequence[str], root: Path) -> str:
    """Return the label that a model should give to `word`."""
    if word in labels:
        return word
    if UNKNOWN in labels:
        return UNKNOWN
    raise ConfigError(
        f"{root / word}: the model has no label {word!r} and no {UNKNOWN}; "
        f"its labels are {', '.join(labels)}"
    )


def balanced_split(
    root: Path,
    labels: Sequence[str],
    split: str,
    *,
    seed: int = DEFAULT_SEED,
    more: Sequence[Path] = (),
) -> list[Clip]:
    """Return one split of the 12-class protocol: as many unknown and silent clips as of a keyword.

    Every clip of the keywords counts. As many unknown clips as a keyword has on average are
    drawn evenly from the other words, and as many seconds of silence are cut from the split's
    part of the background recordings at a volume drawn evenly from 0..1. `more` are further
    folders of the same data set, without noise.

    Raises
    ------
    ConfigError
        If the split holds no clip of any keyword.
    """
    rng = np.random.default_rng(seed)
    chosen: list[Clip] = []
    others: dict[str, list[Clip]] = defaultdict(list)
    for clip in folders.scan(root, *more)[split]:
        if clip.label in labels:
            chosen.append(clip)
        else:
            others[clip.label].append(clip)
    n_keywords = sum(1 for label in labels if label not in (SILENCE, UNKNOWN))
    if not chosen or not n_keywords:
        raise ConfigError(f"{root}: expected {split} clips of {', '.join(labels)}, found none")
    count = round(len(chosen) / n_keywords)
    if UNKNOWN in labels:
        chosen += [replace(clip, label=UNKNOWN) for clip in _evenly(others, count, rng)]
    if SILENCE in labels:
        chosen += silence_cuts(root, split, count, rng)
    return chosen


def _evenly(by_word: dict[str, list[Clip]], count: int, rng: np.random.Generator) -> list[Clip]:
    """Return up to `count` distinct clips, one word after the other in turn."""
    queues = [list(rng.permutation(len(by_word[word]))) for word in sorted(by_word)]
    words = sorted(by_word)
    drawn: list[Clip] = []
    while len(drawn) < count and any(queues):
        for index in rng.permutation(len(words)):
            if queues[index] and len(drawn) < count:
                drawn.append(by_word[words[index]][queues[index].pop()])
    return drawn


def silence_cuts(root: Path, split: str, count: int, rng: np.random.Generator) -> list[Clip]:
    """Return `count` one-second cuts of the split's part of the background recordings."""
    first, last = PORTIONS[split]
    paths = noise_files(root)
    cuts = []
    for _ in range(count if paths else 0):
        path = paths[rng.integers(len(paths))]
        info = soundfile.info(str(path))
        second = info.samplerate
        low, high = int(info.frames * first), int(info.frames * last) - second
        start = int(rng.integers(low, max(low, high) + 1))
        cuts.append(Clip(path, SILENCE, start, second, gain=float(rng.random())))
    return cuts
