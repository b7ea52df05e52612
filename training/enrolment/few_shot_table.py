"""The trials of a few-shot study: read and written as CSV, as a table and as a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import write_atomically
from training.enrolment.config import EnrolmentConfig
from training.plotting import new_figure, save_figure


@dataclass(frozen=True)
class Trial:
    """One draw of recordings, and how well the enrolled word worked."""

    word: str
    n_recordings: int
    draw: int
    missed: float
    """Share of the other recordings that is missed, at the enrolled threshold."""

    per_hour: float
    """False accepts per hour of held-out speech, at the enrolled threshold."""

    missed_at_rate: float
    """Share that is missed at a threshold that makes the target false accepts on that speech."""


def read_trials(out: Path, about: Mapping[str, Any]) -> list[Trial]:
    """Return the trials of an interrupted study, and record its settings in ``study.json``.

    Raises
    ------
    ConfigError
        If the study has other settings, or its table is damaged.
    """
    path, table = out / "study.json", out / "trials.csv"
    text = json.dumps(about, indent=2)
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return []
    if path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{path}: this study has other settings; choose another --out")
    if not table.is_file():
        return []
    with open(table, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        try:
            return [
                Trial(
                    row["word"],
                    int(row["n_recordings"]),
                    int(row["draw"]),
                    *(float(row[name]) for name in ("missed", "per_hour", "missed_at_rate")),
                )
                for row in reader
            ]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ConfigError(
                f"{table}: line {reader.line_num}: expected a trial, got: {error}; "
                "remove the line, or choose another --out"
            ) from error


def write_study(out: Path, trials: Sequence[Trial], config: EnrolmentConfig) -> str:
    """Write ``trials.csv``, ``table.md`` and ``misses.png`` into `out`; return the table."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Trial)])
    writer.writeheader()
    writer.writerows(asdict(trial) for trial in trials)
    write_atomically(out / "trials.csv", buffer.getvalue())
    text = _table(trials, config)
    write_atomically(out / "table.md", text + "\n")
    _draw(out / "misses.png", trials, config)
    return text


def _values(trials: Sequence[Trial], word: str, count: int, name: str) -> NDArray[np.float64]:
    chosen = [t for t in trials if (t.word, t.n_recordings) == (word, count)]
    return np.array([getattr(trial, name) for trial in chosen])


def _counts(trials: Sequence[Trial], word: str) -> list[int]:
    return sorted({trial.n_recordings for trial in trials if trial.word == word})


def _table(trials: Sequence[Trial], config: EnrolmentConfig) -> str:
    """Return the trials as Markdown: mean ± standard deviation over the draws."""
    lines = [
        f"| word | recordings | draws | missed, % | false accepts per hour | missed at "
        f"{config.per_hour:g} per hour, % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for word in dict.fromkeys(trial.word for trial in trials):
        for count in _counts(trials, word):
            cells = []
            for name, factor, digits in (
                ("missed", 100, 1),
                ("per_hour", 1, 2),
                ("missed_at_rate", 100, 1),
            ):
                values = factor * _values(trials, word, count, name)
                cells.append(f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")
            lines.append(f"| {word} | {count} | {len(values)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _draw(path: Path, trials: Sequence[Trial], config: EnrolmentConfig) -> None:
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    for word in dict.fromkeys(trial.word for trial in trials):
        counts = _counts(trials, word)
        missed = [100 * _values(trials, word, count, "missed_at_rate") for count in counts]
        mean = np.array([one.mean() for one in missed])
        spread = np.array([one.std() for one in missed])
        (line,) = axes.plot(counts, mean, marker="o", label=word)
        axes.fill_between(counts, mean - spread, mean + spread, alpha=0.15, color=line.get_color())
    ticks = sorted({trial.n_recordings for trial in trials})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(count) for count in ticks])
    axes.minorticks_off()
    axes.set(
        xlabel="recordings",
        ylabel=f"missed at {config.per_hour:g} false accepts per hour, %",
        ylim=(0, None),
        title="Few-shot enrolment: mean and standard deviation over draws",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)
