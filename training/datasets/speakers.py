"""Who speaks in a recording, by its file name, and halves that share no speaker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HALVES = ("half-a", "half-b")


def speaker_of(path: Path | str) -> str:
    """Return the speaker, or the source of a sound, that a file name tells of.

    LibriSpeech: the number before the first hyphen (``1272-128104-0000``), which also holds for
    the streams made of it. Speech Commands: what stands before ``_nohash_``. ESC-50: the source
    recording, the second number (``5-181766-A``), because the first is the fold. Any other name
    is a speaker of its own, whatever its suffix.
    """
    stem = Path(path).stem
    sound = re.fullmatch(r"\d-(\d+)-[A-Z](?:-\d+)?", stem)
    if sound:
        return sound.group(1)
    return re.split(r"_nohash_|-", stem)[0]


def halves(speakers: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return two halves of the speakers: every other one in the order of their names.

    A rule without a draw: two people who split the same folder get the same halves. Names that
    follow each other go to different halves, because neighbours are often alike (words that were
    recorded later, a reader's second book). One speaker alone is in the first.
    """
    ordered = sorted(set(speakers))
    return frozenset(ordered[::2]), frozenset(ordered[1::2])
