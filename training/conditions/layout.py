"""A folder of test audio: its conditions, their order, and what `conditions.json` says of them.

``DIR/conditions.json``; for each condition ``DIR/NAME/truth.csv`` and ``DIR/NAME/HALF-NNN.wav``, or
``HALF-KIND-NNN.wav`` where false alarms are counted by kind. HALF is ``a`` or ``b``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.files import read_json
from training.conditions.sources import HALF_NAMES
from training.datasets.folders import recordings_in

TABLE = "conditions.json"
SCHEMA_VERSION = 1
MAX_BYTES = 1_000_000
DESCRIPTIONS = {
    "quiet": "keywords 3 to 8 s apart in a quiet room, at 25 dB",
    "noise": "keywords at 10 dB over noise, other words between them",
    "rooms": "keywords 1 to 4 m away in rooms with an RT60 of 0.25 to 0.7 s, at 15 dB over noise",
    "voice-behind": "keywords at 10 dB over one running voice",
    "other-words": "other words one by one in a quiet room; near: words spelled like a keyword",
    "digits": "digits from zero to nine, 0.6 to 1.2 s apart, in a quiet room",
    "noise-alone": "noise without words, at several levels, half of it in rooms",
    "read-speech": "people reading aloud",
    "dictation": "people dictating names, numbers and addresses",
}
NAMES = tuple(DESCRIPTIONS)


@dataclass(frozen=True)
class Condition:
    """One condition of a folder."""

    name: str
    description: str
    folder: Path

    @property
    def truth(self) -> Path:
        """The truth table."""
        return self.folder / "truth.csv"

    def files(self, half: str | None = None) -> list[Path]:
        """Return the audio of a half (``a`` or ``b``), or of both."""
        return [path for path in recordings_in(self.folder) if half in (None, half_of(path))]


def half_of(path: Path) -> str:
    """Return ``a`` or ``b``, with which the name of a file begins."""
    return path.name.partition("-")[0]


def kind_of(path: Path | str) -> str:
    """Return the kind in a file's name, empty where it has none."""
    found = re.fullmatch(r"[ab]-([a-z_][a-z0-9_]*)-\d+", Path(path).stem)
    return found.group(1) if found else ""


def file_name(half: str, kind: str, number: int) -> str:
    """Return the name of a file."""
    return f"{half}-{kind}-{number:03d}.wav" if kind else f"{half}-{number:03d}.wav"


def read_conditions(folder: Path) -> list[Condition]:
    """Return the conditions of a folder that `kws-eval make-conditions` wrote.

    Raises
    ------
    ConfigError
        If it is no such folder, or of another version, or one of its conditions is missing.
    """
    table = folder / TABLE
    try:
        content = read_json(table, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{table}: expected what kws-eval make-conditions writes, {error}"
        ) from error
    found = content.get("conditions") if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or content.get("schema_version") != SCHEMA_VERSION:
        raise ConfigError(
            f"{table}: expected conditions of schema_version {SCHEMA_VERSION}; "
            "build them again with kws-eval make-conditions"
        )
    made = [
        Condition(name, str(row.get("description", "")), folder / name)
        for name, row in found.items()
        if isinstance(row, Mapping) and re.fullmatch(r"[a-z0-9-]+", name)
    ]
    for condition in made:
        if not condition.truth.is_file():
            raise ConfigError(f"{table}: expected {condition.truth}, found no such file")
        for half in HALF_NAMES:
            if not condition.files(half):
                raise ConfigError(f"{condition.folder}: expected files {half}-*.wav, found none")
    return made


def describe(name: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the table says of a condition, from its figures by half."""
    kinds = sorted({kind for row in rows.values() for kind in row["kinds"]})
    return {
        "description": DESCRIPTIONS[name],
        **{key: sum(row[key] for row in rows.values()) for key in ("hours", "events", "others")},
        "kinds": kinds,
        "halves": dict(rows),
    }
