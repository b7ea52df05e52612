"""Splits of labelled clips: at random, by speaker or source, by folds, by lists."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ConfigError
from training.config.data_sections import SourceConfig
from training.datasets import folders, labelled_clips
from training.datasets.labelled_clips import Item

TRAINING, VALIDATION, TESTING = folders.SPLITS


@dataclass(frozen=True)
class ClassData:
    """The clips of a classification task, by split; no audio is read yet."""

    labels: tuple[str, ...]
    """In output order."""

    items: dict[str, list[Item]]
    """By split: training, validation, testing."""

    def clips(self, split: str) -> list[Any]:
        """Return the clips of a split."""
        return [item.clip for item in self.items[split]]


def open_classes(config: SourceConfig, root: Path, classes: tuple[str, ...] = ()) -> ClassData:
    """Return the clips of `classes` (empty: all there are), split as the config says.

    Raises
    ------
    ConfigError
        If the source cannot be read, a class has no clips, or a split cannot be made.
    """
    items = open_items(config, root)
    if config.split == "group" and len({item.group for item in items}) == len(items):
        raise ConfigError(
            f"{root}: split by group: expected clips that share a speaker or a recording, got "
            f"{len(items)} that share none; name them, or take source.split = 'random'"
        )
    labels = labelled_clips.labels_of(items, classes, root)
    items = [item for item in items if item.clip.label in labels]
    if config.clips_per_class:
        items = _limited(items, config)
    rules = {"random": _random, "group": _by_group, "folds": _by_fold, "lists": _by_lists}
    splits = rules[config.split](items, config, root)
    by_split: dict[str, list[Item]] = {split: [] for split in folders.SPLITS}
    for item, split in zip(items, splits):
        by_split[split].append(item)
    for split in (TRAINING, VALIDATION):
        if not by_split[split]:
            raise ConfigError(f"{root}: split by {config.split}: no clip is left for {split}")
    return ClassData(labels, by_split)


def open_items(config: SourceConfig, root: Path) -> list[Item]:
    """Return all clips of the source for a split.

    A random or group split leaves out the clips that a ``testing_list.txt`` beside them names.
    """
    items = labelled_clips.OPENERS[config.kind](root, sample_rate=config.sample_rate)
    if config.split not in ("random", "group"):
        return items
    kept_back = folders.listed_for_testing(root)
    names = [f"{item.clip.label}/{item.clip.path.name}" for item in items]
    return [item for item, name in zip(items, names) if name not in kept_back]


def fold_split(folds: Sequence[str], config: SourceConfig) -> dict[str, str]:
    """Return the split of each fold, shifted by the config's `turn`."""
    there = sorted(set(folds), key=lambda fold: (len(fold), fold))
    split = dict.fromkeys(there, TRAINING)
    for name, chosen in ((VALIDATION, config.validation_folds), (TESTING, config.testing_folds)):
        for fold in map(str, chosen):
            if fold not in split:
                raise ConfigError(f"no clips in fold {fold}; there are {', '.join(there)}")
            split[there[(there.index(fold) + config.turn) % len(there)]] = name
    return split


def _by_fold(items: Sequence[Item], config: SourceConfig, root: Path) -> list[str]:
    if not all(item.fold for item in items):
        raise ConfigError(f"{root}: split by folds: expected a fold for every clip; use a csv")
    try:
        split = fold_split([item.fold for item in items], config)
    except ConfigError as error:
        raise ConfigError(f"{root}: {error}") from error
    return [split[item.fold] for item in items]


def _by_lists(items: Sequence[Item], config: SourceConfig, root: Path) -> list[str]:
    split_of = folders.listed_splits(root)
    return [split_of(item.clip.path) for item in items]


def _random(items: Sequence[Item], config: SourceConfig, root: Path) -> list[str]:
    """Return splits with the same share of every class."""
    # Imported here because it takes a second.
    from sklearn.model_selection import train_test_split

    splits = np.full(len(items), TRAINING, dtype=object)
    rest = np.arange(len(items))
    for name, share in ((TESTING, config.testing_share), (VALIDATION, config.validation_share)):
        if not share:
            continue
        try:
            rest, taken = train_test_split(
                rest,
                test_size=share * len(items) / len(rest),
                stratify=[items[int(index)].clip.label for index in rest],
                random_state=config.seed,
            )
        except ValueError as error:
            raise ConfigError(f"{root}: split at random: {error}") from error
        splits[taken] = name
    return [str(split) for split in splits]


def _by_group(items: Sequence[Item], config: SourceConfig, root: Path) -> list[str]:
    """Return splits that keep groups together, with classes as balanced as groups allow.

    Groups go, the largest first, to the split that lacks most of the group's labels.
    """
    shares = {
        TRAINING: 1 - config.validation_share - config.testing_share,
        VALIDATION: config.validation_share,
        TESTING: config.testing_share,
    }
    wanted = {
        split: {label: share * count for label, count in _labels(items).items()}
        for split, share in shares.items()
        if share
    }
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    rng = np.random.default_rng(config.seed)
    names = [str(name) for name in rng.permutation(sorted(groups))]
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda name: -len(groups[name])):
        counts = _labels(groups[name])

        def lack(split: str, counts: Counter[str] = counts) -> float:
            return sum(n * wanted[split][label] / shares[split] for label, n in counts.items())

        chosen[name] = max(wanted, key=lack)
        for label, n in counts.items():
            wanted[chosen[name]][label] -= n
    return [chosen[item.group] for item in items]


def _labels(items: Sequence[Item]) -> Counter[str]:
    return Counter(item.clip.label for item in items)


def _limited(items: Sequence[Item], config: SourceConfig) -> list[Item]:
    """Return at most ``clips_per_class`` clips of each class, in whole groups where they fit."""

    def order(item: Item) -> str:
        return hashlib.sha1(f"{config.seed} {item.group}".encode()).hexdigest()

    counts: Counter[str] = Counter()
    kept = set()
    for index in sorted(range(len(items)), key=lambda index: (order(items[index]), index)):
        label = items[index].clip.label
        if counts[label] < config.clips_per_class:
            counts[label] += 1
            kept.add(index)
    return [item for index, item in enumerate(items) if index in kept]
