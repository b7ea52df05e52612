"""Labelled clips of any origin: one folder per class, a table with folds, or an `.npz` archive."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from training.datasets import folders
from training.datasets.clips import Clip
from training.datasets.folders import speaker_of
from training.datasets.npz_clips import read_archive
from training.datasets.spectrogram_images import find_pictures

# Accepted names of each column, the preferred one first.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "filename", "path"),
    "label": ("label", "category", "class", "target"),
    "fold": ("fold",),
    "group": ("source", "src_file", "speaker", "group"),
}
# Where a folder may hold its table; the second is ESC-50's.
TABLES = ("index.csv", "meta/esc50.csv", "labels.csv")


@dataclass(frozen=True)
class Item:
    """A clip with its group and fold."""

    clip: Any
    """Has a label, a path and `read()`: mono int16 at 16 kHz, or a picture."""

    group: str
    """Speaker or source recording; a split by group keeps its clips together."""

    fold: str = ""
    """Fold of the table, or "" where there is none."""


def open_folders(
    root: Path, *, suffixes: frozenset[str] = folders.AUDIO_SUFFIXES, **_: Any
) -> list[Item]:
    """Return the clips of a one-folder-a-class tree; the folder's name is the label.

    The group is the speaker or source that the file name states (`speaker_of`).
    """
    return [
        Item(Clip(path, path.parent.name), speaker_of(path))
        for path in folders.audio_files(root, suffixes=suffixes)
    ]


def open_table(root: Path, **_: Any) -> list[Item]:
    """Return the clips of a CSV with file, label and, if it has them, fold and source columns.

    `root` is the table, or a folder with one in it (``index.csv``, ESC-50's ``meta/esc50.csv``).
    A file may be named from the table's folder, from its parent's ``audio`` folder as ESC-50
    has it, or from a folder with the label's name.

    Raises
    ------
    ConfigError
        If there is no table, or a column or a file is missing.
    """
    table = _find_table(root)
    try:
        with open(table, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns = _columns(reader.fieldnames or (), table)
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{table}: expected a CSV in UTF-8: {error}") from error
    if not rows:
        raise ConfigError(f"{table}: expected a row a clip, found none")
    items = []
    for number, row in enumerate(rows, start=2):
        file, label = row[columns["file"]], row[columns["label"]]
        if not file or not label:
            raise ConfigError(f"{table}: line {number}: expected a file and a label, got {row}")
        path = _find_file(table, file, label)
        if path is None:
            raise ConfigError(f"{table}: line {number}: there is no {file}, nor {label}/{file}")
        group = (row[columns["group"]] if "group" in columns else "") or speaker_of(path)
        fold = (row[columns["fold"]] or "") if "fold" in columns else ""
        items.append(Item(Clip(path, label), group, fold))
    return items


def open_npz(root: Path, *, sample_rate: int = 16_000) -> list[Item]:
    """Return the clips of an `.npz`, with its ``group_vals`` and ``fold_vals`` if it has them."""
    return [
        Item(clip, group or str(clip.index), fold)
        for clip, group, fold in read_archive(root, sample_rate=sample_rate)
    ]


def open_pictures(root: Path, **_: Any) -> list[Item]:
    """Return the pictures of a one-folder-a-class tree, with groups as in `open_folders`."""
    return [Item(clip, speaker_of(clip.path)) for clip in find_pictures(root)]


OPENERS: Mapping[str, Callable[..., list[Item]]] = {
    "folders": open_folders,
    "csv": open_table,
    "npz": open_npz,
    "pictures": open_pictures,
}


def detect(root: Path) -> str:
    """Return the kind of a source, by its suffix or by a table in the folder."""
    if root.suffix == ".npz":
        return "npz"
    is_table = root.suffix == ".csv" or any((root / name).is_file() for name in TABLES)
    return "csv" if is_table else "folders"


def labels_of(items: Sequence[Item], classes: tuple[str, ...], root: Path) -> tuple[str, ...]:
    """Return the labels in output order: `classes` as given, or all there are, sorted.

    Raises
    ------
    ConfigError
        If a class has no clips, or there is only one.
    """
    there = {item.clip.label for item in items}
    if missing := [label for label in classes if label not in there]:
        raise ConfigError(
            f"{root}: no clips of {', '.join(missing)}; there are {', '.join(sorted(there))}"
        )
    # Numbers as numbers: 2 comes before 10.
    key = int if all(label.isdecimal() for label in there) else str
    labels = classes or tuple(sorted(there, key=key))
    if len(labels) < 2:
        raise ConfigError(f"{root}: expected clips of two classes or more, got {', '.join(labels)}")
    return labels


def _find_table(root: Path) -> Path:
    if root.is_file():
        return root
    for name in TABLES:
        if (root / name).is_file():
            return root / name
    raise ConfigError(f"{root}: expected a CSV, or a folder with {' or '.join(TABLES)} in it")


def _columns(names: Sequence[str], table: Path) -> dict[str, str]:
    found = {
        what: next(name for name in known if name in names)
        for what, known in COLUMNS.items()
        if set(known) & set(names)
    }
    for what in ("file", "label"):
        if what not in found:
            raise ConfigError(
                f"{table}: expected a column {' or '.join(COLUMNS[what])}, got {', '.join(names)}"
            )
    return found


def _find_file(table: Path, file: str, label: str) -> Path | None:
    folder = table.parent
    places = (folder / file, folder / label / file, folder.parent / "audio" / file)
    return next((path for path in places if path.is_file()), None)
