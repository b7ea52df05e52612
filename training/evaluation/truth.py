"""The truth table of long audio: which word is spoken when."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kws.errors import AudioError
from kws.files import write_atomically

IGNORE = "_ignore_"
# A word that is no keyword: how many of them fire is counted.
OTHER = "_other_"
COLUMNS = ("file", "keyword", "start_s", "end_s")


@dataclass(frozen=True)
class Event:
    """A spoken keyword, another word, or a span in which detections are not counted."""

    file: str
    keyword: str
    start_s: float
    end_s: float


def read_truth(path: Path, *, files: Sequence[str]) -> list[Event]:
    """Return the events of a truth table, in order of file and time.

    Raises
    ------
    AudioError
        If the table is unreadable, or a row is invalid or names a file that is not in `files`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path}: expected a truth table, {error}") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise AudioError(f"{path}: expected the columns {','.join(COLUMNS)}, without {missing}")
    events = []
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        try:
            event = Event(row["file"], row["keyword"], float(row["start_s"]), float(row["end_s"]))
        except (TypeError, ValueError) as error:
            raise AudioError(f"{where}: expected start_s and end_s as numbers, {error}") from error
        if not 0 <= event.start_s <= event.end_s:
            raise AudioError(
                f"{where}: expected 0 <= start_s <= end_s, got {event.start_s} and {event.end_s}"
            )
        if event.file not in files:
            raise AudioError(f"{where}: no audio file {event.file!r} in the folder")
        events.append(event)
    return sorted(events, key=lambda event: (event.file, event.start_s))


def write_truth(events: Iterable[Event], path: Path) -> None:
    """Write a truth table, with times rounded to milliseconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for event in events:
        writer.writerow((event.file, event.keyword, f"{event.start_s:.3f}", f"{event.end_s:.3f}"))
    write_atomically(path, text.getvalue())
