"""A few-shot study as CSV, table and picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ConfigError
from kws.files import atomic_path, write_atomically
from training.enrolment.config import EnrolmentConfig
from training.enrolment.few_shot import Trial


def write_study(out: Path, trials: Sequence[Trial], config: EnrolmentConfig) -> str:
    """Write ``trials.csv``, ``table.md`` and ``misses.png`` into `out`; return the table."""
    out.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Trial)])
    writer.writeheader()
    writer.writerows(asdict(trial) for trial in trials)
    write_atomically(out / "trials.csv", buffer.getvalue())
    text = table(trials, config)
    write_atomically(out / "table.md", text + "\n")
    with atomic_path(out / "misses.png") as temporary:
        _draw(temporary, trials=trials, config=config)
    return text


def read_trials(out: Path, about: Mapping[str, Any]) -> list[Trial]:
    """Return the trials of a study that was broken off, and write down what it is about.

    Raises
    ------
    ConfigError
        If what lies there is about something else, or damaged.
    """
    path = out / "study.json"
    text = json.dumps(about, indent=2)
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return []
    if path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{path}: a study of other settings; give another --out")
    if not (out / "trials.csv").is_file():
        return []
    with open(out / "trials.csv", newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        try:
            return [_trial(row) for row in reader]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ConfigError(
                f"{handle.name}: line {reader.line_num}: expected a trial, got: {error}; "
                "take the line out, or give another --out"
            ) from error


def _trial(row: Mapping[str, str]) -> Trial:
    return Trial(
        word=row["word"],
        n_recordings=int(row["n_recordings"]),
        draw=int(row["draw"]),
        missed=float(row["missed"]),
        per_hour=float(row["per_hour"]),
        missed_at_rate=float(row["missed_at_rate"]),
    )


def table(trials: Sequence[Trial], config: EnrolmentConfig) -> str:
    """Return the trials as Markdown: mean and spread (standard deviation) over the draws."""
    lines = [
        f"| word | recordings | draws | missed, % | false accepts an hour | missed at "
        f"{config.per_hour:g} an hour, % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for word in dict.fromkeys(trial.word for trial in trials):
        for count in sorted({trial.n_recordings for trial in trials if trial.word == word}):
            chosen = [t for t in trials if (t.word, t.n_recordings) == (word, count)]
            lines.append(
                f"| {word} | {count} | {len(chosen)} | {_spread(chosen, 'missed', 100)} | "
                f"{_spread(chosen, 'per_hour', 1)} | {_spread(chosen, 'missed_at_rate', 100)} |"
            )
    return "\n".join(lines)


def _spread(trials: Sequence[Trial], name: str, factor: float) -> str:
    values = factor * np.array([getattr(trial, name) for trial in trials])
    digits = 1 if factor == 100 else 2
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def _draw(path: Path, *, trials: Sequence[Trial], config: EnrolmentConfig) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for word in dict.fromkeys(trial.word for trial in trials):
        _curve(axes, word, [trial for trial in trials if trial.word == word])
    counts = sorted({trial.n_recordings for trial in trials})
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set(
        xlabel="recordings",
        ylabel=f"missed at {config.per_hour:g} false accepts an hour, %",
        ylim=(0, None),
        title="Teaching a word: mean and spread over draws",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def _curve(axes: Any, word: str, trials: Sequence[Trial]) -> None:
    counts = sorted({trial.n_recordings for trial in trials})
    missed = [
        np.array([100 * t.missed_at_rate for t in trials if t.n_recordings == count])
        for count in counts
    ]
    middle = np.array([one.mean() for one in missed])
    spread = np.array([one.std() for one in missed])
    (line,) = axes.plot(counts, middle, marker="o", label=word)
    axes.fill_between(counts, middle - spread, middle + spread, alpha=0.15, color=line.get_color())
