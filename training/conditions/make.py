"""Write a folder of test audio with all conditions."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ConfigError
from kws.files import write_atomically
from training.conditions import layout, sounds, spoken, unspoken
from training.conditions.sources import Half
from training.conditions.spoken import Made, Plan
from training.datasets.clips import SAMPLE_RATE, to_int16
from training.evaluation.mix_stream import write_stream
from training.evaluation.truth import IGNORE, OTHER, Event, write_truth

Maker = Callable[[Half, Plan, np.random.Generator], Iterator[Made]]
MAKERS: Mapping[str, Maker] = {
    "quiet": spoken.keywords_in_quiet,
    "noise": spoken.keywords_in_noise,
    "rooms": spoken.keywords_in_rooms,
    "voice-behind": spoken.keywords_before_a_voice,
    "other-words": spoken.other_words,
    "digits": spoken.digits,
    "noise-alone": unspoken.noise_alone,
    "read-speech": unspoken.read_speech,
    "dictation": unspoken.dictation,
}


def make_conditions(
    halves: Sequence[Half],
    plan: Plan,
    out: Path,
    *,
    names: Sequence[str],
    about: Mapping[str, Any],
    progress: Callable[[Sequence[Any]], Iterable[Any]],
) -> dict[str, Any]:
    """Write the conditions `names` of both halves and their table; return the table.

    A condition depends on sources, plan and libraries, not on the other conditions.

    Parameters
    ----------
    halves : sequence of Half
        Of `sources.read_halves`.
    plan : Plan
        How much, and the seed.
    out : Path
        The folder, which must not exist or be empty. It appears whole or not at all.
    names : sequence of str
        Of `layout.NAMES`.
    about : mapping
        Further keys of the table, such as the command.
    progress : callable
        Wraps the list of (name, half) to work through.

    Raises
    ------
    ConfigError
        If `out` holds files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: expected an empty folder or none; name another one")
    if not {"rooms", "noise-alone"}.isdisjoint(names):
        # Before an hour of other audio is made: a missing library is reported now.
        sounds.room_responses(halves[0], np.random.default_rng(0), 1)
    rows: dict[str, dict[str, Any]] = {name: {} for name in names}
    events: dict[str, list[Event]] = {name: [] for name in names}
    with _appearing(out) as folder:
        for name, half in progress([(name, half) for name in names for half in halves]):
            (folder / name).mkdir(exist_ok=True)
            rng = np.random.default_rng((plan.seed, layout.NAMES.index(name), ord(half.name)))
            files = MAKERS[name](half, plan, rng)
            found, rows[name][half.name] = _write(files, half.name, folder / name)
            events[name] += found
        for name in names:
            write_truth(events[name], folder / name / "truth.csv")
        table = {
            "schema_version": layout.SCHEMA_VERSION,
            **about,
            "seed": plan.seed,
            "keywords": list(plan.keywords),
            "sources": {half.name: half.counts() for half in halves},
            "conditions": {name: layout.describe(name, rows[name]) for name in names},
        }
        write_atomically(folder / layout.TABLE, json.dumps(table, indent=1) + "\n")
    return table


def _write(files: Iterable[Made], half: str, folder: Path) -> tuple[list[Event], dict[str, Any]]:
    """Write the files of a half; return their events, and how much they are."""
    events: list[Event] = []
    hours = 0.0
    kinds: dict[str, float] = {}
    n_files = 0
    for number, made in enumerate(files):
        name = layout.file_name(half, made.kind, number)
        write_stream(to_int16(made.samples), folder / name)
        events += [replace(event, file=name) for event in made.events]
        long = len(made.samples) / SAMPLE_RATE / 3600
        hours += long
        n_files += 1
        if made.kind:
            kinds[made.kind] = kinds.get(made.kind, 0.0) + long
    keywords = [event.keyword for event in events]
    row = {
        "files": n_files,
        "hours": round(hours, 4),
        "events": sum(keyword not in (IGNORE, OTHER) for keyword in keywords),
        "others": keywords.count(OTHER),
        "kinds": {kind: round(long, 4) for kind, long in sorted(kinds.items())},
    }
    return events, row


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that becomes `out` on success, and is removed otherwise."""
    parent = out.resolve().parent
    if not parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {parent}")
    temporary = parent / f".{os.getpid()}.{out.name}"
    temporary.mkdir()
    try:
        yield temporary
        if out.is_dir():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
