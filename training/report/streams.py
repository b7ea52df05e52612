"""Figures on long audio: missed words from some folders, false alarms from others or the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from training.evaluation.long_audio import StreamResult, evaluate_stream
from training.evaluation.metrics import rate_interval, share_interval
from training.evaluation.stream_scores import Tally, summarise
from training.report.models import ReportModel

Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]
# The false-alarm rates at which the report gives the missed words.
RATES_PER_HOUR = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class StreamFolder:
    """Long audio with its ``truth.csv``, as `kws-eval make-stream` writes it."""

    path: Path
    misses: bool = True
    """Whether its words count as hits and misses."""

    accepts: bool = True
    """Whether its hours and false alarms count."""

    @property
    def truth(self) -> Path:
        """The truth table."""
        return self.path / "truth.csv"


def parse_folder(text: str) -> StreamFolder:
    """Parse DIR, misses=DIR or accepts=DIR.

    Raises
    ------
    ConfigError
        If there is no such folder, or it has no truth table.
    """
    role, _, rest = text.partition("=")
    named = role in ("misses", "accepts") and bool(rest)
    path = Path(rest if named else text)
    folder = StreamFolder(
        path, misses=not named or role == "misses", accepts=not named or role == "accepts"
    )
    if not path.is_dir():
        raise ConfigError(
            f"--streams {text}: expected DIR, misses=DIR or accepts=DIR; there is no folder {path}"
        )
    if not folder.truth.is_file():
        raise ConfigError(
            f"--streams {text}: expected {folder.truth} (file,keyword,start_s,end_s); "
            "for audio without keywords it contains this line only"
        )
    return folder


def check_roles(folders: Sequence[StreamFolder]) -> None:
    """Check that missed words and false alarms can both be counted.

    Raises
    ------
    ConfigError
        If no folder serves one of the two.
    """
    for role in ("misses", "accepts"):
        if folders and not any(getattr(folder, role) for folder in folders):
            raise ConfigError(f"--streams: expected a folder to count {role} on too ({role}=DIR)")


def measure_streams(
    model: ReportModel, folders: Sequence[StreamFolder], *, progress: Progress
) -> dict[str, Any]:
    """Return missed words, false alarms and latency at the manifest's thresholds, and the curve."""
    spotter = model.spotter()
    results = [
        evaluate_stream(
            spotter,
            folder.path,
            folder.truth,
            progress=progress(f"{model.title}, {folder.path.name}"),
        )
        for folder in folders
    ]
    words = [result for folder, result in zip(folders, results) if folder.misses]
    quiet = [result for folder, result in zip(folders, results) if folder.accepts]
    hours = sum(result.report["hours"] for result in quiet)
    # Keywords of the truth that the model lacks are in the reports too.
    keywords = dict.fromkeys(key for one in (*words, *quiet) for key in one.report["per_keyword"])
    figures = summarise(
        sum((result.tally for result in words), Tally()),
        sum((result.tally for result in quiet), Tally()),
        hours=hours,
        keywords=tuple(keywords),
        thresholds=spotter.thresholds,
    )
    missed = figures["events"] - figures["hits"]
    curve = _pooled_curve(words, quiet)
    return {
        "mode": results[0].report["mode"],
        "hop_ms": results[0].report["hop_ms"],
        **figures,
        "false_reject_interval_95": list(share_interval(missed, figures["events"]))
        if figures["events"]
        else None,
        "false_accepts_per_hour_interval_95": list(rate_interval(figures["false_accepts"], hours)),
        "at_most_per_hour": [_at_most(curve, rate, hours=hours) for rate in RATES_PER_HOUR],
        "curve": curve,
        "folders": [_folder_row(folder, result) for folder, result in zip(folders, results)],
    }


def _pooled_curve(
    words: Sequence[StreamResult], quiet: Sequence[StreamResult]
) -> list[dict[str, float | None]]:
    """Return the curve of all folders, weighted by words and by hours."""

    def mean(results: Sequence[StreamResult], index: int, name: str, weight: str) -> float | None:
        total = sum(one.report[weight] for one in results)
        values = (one.report[weight] * (one.report["curve"][index][name] or 0) for one in results)
        return sum(values) / total if total else None

    return [
        {
            "threshold": point["threshold"],
            "false_reject_rate": mean(words, index, "false_reject_rate", "events"),
            "false_accepts_per_hour": mean(quiet, index, "false_accepts_per_hour", "hours"),
        }
        for index, point in enumerate(words[0].report["curve"])
    ]


def _at_most(
    curve: Sequence[dict[str, float | None]], rate: float, *, hours: float
) -> dict[str, float | None]:
    """Return the fewest missed words of the curve at up to `rate` false alarms per hour.

    None if a single false alarm already exceeds this rate: the audio is too short.
    """
    allowed = [
        point
        for point in curve
        if (point["false_accepts_per_hour"] or 0.0) <= rate
        and point["false_reject_rate"] is not None
        and hours * rate >= 1
    ]
    best = min(allowed, key=lambda point: point["false_reject_rate"] or 0.0, default=None)
    return {
        "at_most_per_hour": rate,
        "false_reject_rate": best["false_reject_rate"] if best else None,
        "threshold": best["threshold"] if best else None,
    }


def _folder_row(folder: StreamFolder, result: StreamResult) -> dict[str, Any]:
    kept = (
        *("events", "hits", "false_reject_rate", "hours", "false_accepts"),
        *("false_accepts_per_hour", "latency_s"),
    )
    return {
        "folder": folder.path.name,
        "misses": folder.misses,
        "accepts": folder.accepts,
        **{name: result.report[name] for name in kept},
    }
