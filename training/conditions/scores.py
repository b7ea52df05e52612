"""What a model does in each condition: missed words, false alarms, other words that fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kws.spotter import KeywordSpotter
from training.conditions.layout import Condition, kind_of
from training.evaluation.long_audio import run_file
from training.evaluation.metrics import rate_interval, share_interval
from training.evaluation.stream_scores import FileScores, Tally, percentile, tally_files
from training.evaluation.truth import Event, read_truth

Progress = Callable[[str], Callable[[Sequence[Path]], Iterable[Path]]]
NONE = "–"


def measure(
    spotter: KeywordSpotter,
    conditions: Sequence[Condition],
    *,
    half: str | None,
    title: str = "",
    progress: Progress,
) -> dict[str, Any]:
    """Return the figures of a model in each condition.

    Parameters
    ----------
    spotter : KeywordSpotter
        Runs every file as `kws-listen` does, at its own thresholds.
    conditions : sequence of Condition
        Of `layout.read_conditions`.
    half : str or None
        ``a``, ``b``, or None for both.
    title : str
        For the progress.
    progress : callable
        Takes a description; returns a wrapper for the files that follow.

    Returns
    -------
    figures : dict
        ``model``, ``version``, and ``conditions`` with the figures of each by name: see
        `figures_of`; ``by_kind`` has the same for each kind of file.
    """
    manifest = spotter.manifest
    rows: dict[str, Any] = {}
    for condition in conditions:
        names = [path.name for path in condition.files()]
        paths = condition.files(half)
        events = read_truth(condition.truth, files=names)
        label = f"{title or manifest.name}, {condition.name}"
        files = [run_file(spotter, path) for path in progress(label)(paths)]
        rows[condition.name] = condition_figures(files, events)
    return {"model": manifest.name, "version": manifest.version, "conditions": rows}


def condition_figures(files: Sequence[FileScores], events: Sequence[Event]) -> dict[str, Any]:
    """Return the figures of a condition, and in ``by_kind`` those of each kind of file."""
    by_kind = {
        kind: figures_of([file for file in files if kind_of(file.file) == kind], events)
        for kind in sorted({kind_of(file.file) for file in files} - {""})
    }
    return {**figures_of(files, events), "by_kind": by_kind}


def figures_of(files: Sequence[FileScores], events: Sequence[Event]) -> dict[str, Any]:
    """Return the counts of some files, their shares and rates, and the 95 % intervals of these.

    ``missed`` and ``fired`` (of the other words) lie in 0..1 and are None without such words.
    """
    names = {file.file for file in files}
    tally = tally_files(
        ((file.file, file.detections) for file in files),
        [event for event in events if event.file in names],
    )
    hours = sum(file.duration_s for file in files) / 3600
    n_events, n_false = sum(tally.events.values()), sum(tally.false_accepts.values())
    n_missed = n_events - sum(tally.hits.values())
    return {
        "hours": hours,
        "events": n_events,
        "missed": n_missed / n_events if n_events else None,
        "missed_interval_95": _share(n_missed, n_events),
        "missed_by_keyword": _missed(tally),
        "false_alarms": n_false,
        "false_alarms_per_hour": n_false / hours if hours else None,
        "false_alarms_per_hour_interval_95": list(rate_interval(n_false, hours)) if hours else None,
        "false_alarms_by_keyword": dict(sorted(tally.false_accepts.items())),
        "other_words": tally.others,
        "fired": tally.fired / tally.others if tally.others else None,
        "fired_interval_95": _share(tally.fired, tally.others),
        "latency_s": percentile(tally.latencies_s, 50),
    }


def _missed(tally: Tally) -> dict[str, float]:
    return {
        keyword: round((number - tally.hits.get(keyword, 0)) / number, 4)
        for keyword, number in sorted(tally.events.items())
    }


def _share(part: int, whole: int) -> list[float] | None:
    return list(share_interval(part, whole)) if whole else None


def table_rows(models: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the figures of several models side by side: a row a condition, figure and kind.

    The first two cells say which; one cell a model follows. A kind is indented.
    """
    rows: list[tuple[str, ...]] = []
    for name, first in models[0]["conditions"].items():
        here = [model["conditions"].get(name) for model in models]
        if first["events"]:
            rows.append((name, "missed %", *(_percent(row, "missed") for row in here)))
        if first["other_words"]:
            rows.append((name, "fired %", *(_percent(row, "fired") for row in here)))
        if first["events"] or not first["other_words"]:
            rows.append((name, "false alarms/h", *(_rate(row) for row in here)))
        rows += _kind_rows(name, here)
    return rows


def _kind_rows(name: str, here: Sequence[dict[str, Any] | None]) -> list[tuple[str, ...]]:
    """Return a row for each kind in which a model fired, and one for all others."""
    rows: list[tuple[str, ...]] = []
    silent: list[str] = []
    for kind in here[0]["by_kind"] if here[0] else ():
        parts = [row and row["by_kind"].get(kind) for row in here]
        if not any(part and part["false_alarms"] for part in parts):
            silent.append(kind)
        else:
            others = any(part and part["other_words"] for part in parts)
            cells = [_percent(part, "fired") if others else _rate(part) for part in parts]
            rows.append((name, f"  {kind}", *cells))
    if silent:
        rows.append((name, f"  {len(silent)} other kind(s)", *("0" for _ in here)))
    return rows


def _percent(row: dict[str, Any] | None, name: str) -> str:
    if not row or row[name] is None:
        return NONE
    low, high = row[f"{name}_interval_95"]
    return f"{100 * row[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _rate(row: dict[str, Any] | None) -> str:
    if not row or row["false_alarms_per_hour"] is None:
        return NONE
    low, high = row["false_alarms_per_hour_interval_95"]
    return f"{row['false_alarms_per_hour']:.1f} ({low:.1f} to {high:.1f})"
