"""A model on long audio: misses counted on some folders, false accepts on others or the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ConfigError
from training.evaluation import evaluate
from training.evaluation.evaluate import StreamResult
from training.evaluation.metrics import rate_interval, share_interval
from training.report.models import Subject

Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]
# A table tells how much is missed at no more than so many false accepts an hour.
RATES_PER_HOUR = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class StreamFolder:
    """Long audio and its ``truth.csv``, as `kws-eval make-stream` writes them."""

    path: Path
    misses: bool = True
    """Its words count towards the misses."""

    accepts: bool = True
    """Its hours and false accepts count."""

    @property
    def truth(self) -> Path:
        """What is spoken where."""
        return self.path / "truth.csv"


def parse_folder(text: str) -> StreamFolder:
    """Return the folder that DIR, misses=DIR or accepts=DIR means.

    Raises
    ------
    ConfigError
        If there is no such folder, or no truth in it.
    """
    role, _, rest = text.partition("=")
    named = role in ("misses", "accepts") and bool(rest)
    path = Path(rest if named else text)
    folder = StreamFolder(
        path, misses=not named or role == "misses", accepts=not named or role == "accepts"
    )
    if not path.is_dir():
        raise ConfigError(
            f"--streams {text}: expected DIR, misses=DIR or accepts=DIR, found no folder {path}"
        )
    if not folder.truth.is_file():
        raise ConfigError(
            f"--streams {text}: expected {folder.truth} (file,keyword,start_s,end_s); "
            "audio without keywords has one with that line alone"
        )
    return folder


def check_roles(folders: Sequence[StreamFolder]) -> None:
    """Refuse folders that leave out the misses or the false accepts.

    Raises
    ------
    ConfigError
        If one of the two cannot be counted.
    """
    for role in ("misses", "accepts"):
        if folders and not any(getattr(folder, role) for folder in folders):
            raise ConfigError(f"--streams: expected a folder to count {role} on, too ({role}=DIR)")


def measure_streams(
    subject: Subject, folders: Sequence[StreamFolder], *, progress: Progress
) -> dict[str, Any]:
    """Return misses, false accepts and latency at the manifest's thresholds, and the curve.

    Parameters
    ----------
    subject : Subject
        Run in the form that `kws-eval stream` takes by itself.
    folders : sequence of StreamFolder
        At least one for misses and one for false accepts.
    """
    runs = []
    for folder in folders:
        doing = progress(f"{subject.title}, {folder.path.name}")
        result = evaluate.evaluate_stream(
            subject.spotter(), folder.path, folder.truth, progress=doing
        )
        runs.append((folder, result))
    heard = [result for folder, result in runs if folder.misses]
    quiet = [result for folder, result in runs if folder.accepts]
    curve = _curve(heard, quiet)
    hours = sum(result.report["hours"] for result in quiet)
    return {
        "mode": runs[0][1].report["mode"],
        "hop_ms": runs[0][1].report["hop_ms"],
        **_at_thresholds(heard, quiet),
        "at_most_per_hour": [_at_most(curve, rate, hours=hours) for rate in RATES_PER_HOUR],
        "curve": curve,
        "folders": [_folder_row(folder, result) for folder, result in runs],
    }


def _at_thresholds(heard: Sequence[StreamResult], quiet: Sequence[StreamResult]) -> dict[str, Any]:
    events = sum(result.report["events"] for result in heard)
    hits = sum(result.report["hits"] for result in heard)
    hours = sum(result.report["hours"] for result in quiet)
    n_false = sum(result.report["false_accepts"] for result in quiet)
    late_s = [latency for result in heard for latency in result.tally.latencies_s]
    missed = (events - hits) / events if events else None
    return {
        "events": events,
        "hits": hits,
        "false_reject_rate": missed,
        "false_reject_interval_95": (
            None if missed is None else list(share_interval(events - hits, events))
        ),
        "hours": hours,
        "false_accepts": n_false,
        "false_accepts_per_hour": n_false / hours,
        "false_accepts_per_hour_interval_95": list(rate_interval(n_false, hours)),
        "latency_s": {
            "median": float(np.median(late_s)) if late_s else None,
            "p95": float(np.percentile(late_s, 95)) if late_s else None,
        },
        "per_keyword": _per_keyword(heard, quiet),
    }


def _per_keyword(
    heard: Sequence[StreamResult], quiet: Sequence[StreamResult]
) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(
        keyword for result in (*heard, *quiet) for keyword in result.report["per_keyword"]
    )
    table: dict[str, dict[str, Any]] = {}
    for name in names:
        words = [result.report["per_keyword"].get(name, {}) for result in heard]
        alarms = [result.report["per_keyword"].get(name, {}) for result in quiet]
        events = sum(row.get("events", 0) for row in words)
        hits = sum(row.get("hits", 0) for row in words)
        table[name] = {
            "events": events,
            "hits": hits,
            "false_reject_rate": (events - hits) / events if events else None,
            "false_accepts": sum(row.get("false_accepts", 0) for row in alarms),
            "threshold": next((row["threshold"] for row in (*words, *alarms) if row), None),
        }
    return table


def _curve(
    heard: Sequence[StreamResult], quiet: Sequence[StreamResult]
) -> list[dict[str, float | None]]:
    """Return one threshold for all keywords going up, folders weighted by words and by hours."""
    points: list[dict[str, float | None]] = []
    events = sum(result.report["events"] for result in heard)
    hours = sum(result.report["hours"] for result in quiet)
    for index, point in enumerate(heard[0].report["curve"]):
        missed = sum(
            result.report["events"] * (result.report["curve"][index]["false_reject_rate"] or 0.0)
            for result in heard
        )
        n_false = sum(
            result.report["hours"] * result.report["curve"][index]["false_accepts_per_hour"]
            for result in quiet
        )
        points.append(
            {
                "threshold": point["threshold"],
                "false_reject_rate": missed / events if events else None,
                "false_accepts_per_hour": n_false / hours,
            }
        )
    return points


def _at_most(
    curve: Sequence[dict[str, float | None]], rate: float, *, hours: float
) -> dict[str, float | None]:
    """Return the fewest misses of the curve at no more than `rate` false accepts an hour.

    None where one false accept would be more than that: so little audio cannot tell.
    """
    allowed = [
        point
        for point in curve
        if (point["false_accepts_per_hour"] or 0.0) <= rate
        and point["false_reject_rate"] is not None
    ]
    best = min(allowed, key=lambda point: point["false_reject_rate"] or 0.0, default=None)
    told = best is not None and hours * rate >= 1
    return {
        "at_most_per_hour": rate,
        "false_reject_rate": best["false_reject_rate"] if best and told else None,
        "threshold": best["threshold"] if best and told else None,
    }


def _folder_row(folder: StreamFolder, result: StreamResult) -> dict[str, Any]:
    kept = ("events", "hits", "false_reject_rate", "hours", "false_accepts")
    return {
        "folder": folder.path.name,
        "misses": folder.misses,
        "accepts": folder.accepts,
        **{name: result.report[name] for name in kept},
        "false_accepts_per_hour": result.report["false_accepts_per_hour"],
        "latency_s": result.report["latency_s"],
    }
