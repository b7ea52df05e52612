"""The tables of a report as texts: the page and the Markdown show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Model = dict[str, Any]
NONE = "–"
# Longer cells are words; a table of more columns does not stand beside another one.
MOST_OF_FIGURES, MOST_BESIDE = 30, 5


@dataclass(frozen=True)
class Table:
    """Rows of texts; the first of each row names it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def words(self) -> frozenset[int]:
        """The columns that hold running text rather than figures."""
        lines = [row for row in self.rows if row]
        return frozenset(
            index
            for index in range(1, len(self.head))
            if max((len(row[index]) for row in lines), default=0) > MOST_OF_FIGURES
        )

    @property
    def is_broad(self) -> bool:
        """Whether it takes a line of the page for itself."""
        return len(self.head) > MOST_BESIDE or bool(self.words)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def kilobytes(value: float | None) -> str:
    """Return bytes in thousands."""
    return NONE if value is None else f"{value / 1000:.{0 if value >= 99_500 else 1}f} kB"


def millions(value: float | None) -> str:
    """Return a number in millions."""
    return NONE if value is None else f"{value / 1e6:.2f} M"


def count(value: float | None) -> str:
    """Return a whole number with its thousands apart."""
    return NONE if value is None else f"{value:,.0f}".replace(",", " ")


def interval(pair: Sequence[float] | None, *, factor: float = 1.0, digits: int = 1) -> str:
    """Return an interval in parentheses."""
    if pair is None:
        return ""
    return f" ({factor * pair[0]:.{digits}f} to {factor * pair[1]:.{digits}f})"


def per_label(model: Model) -> Table:
    """Return precision, recall and F1 of each label of a model."""
    rows = [
        (
            label,
            *(percent(row[name]) for name in ("precision", "recall", "f1")),
            count(row["n"]),
        )
        for label, row in model["clips"]["per_label"].items()
    ]
    head = ("label", "precision", "recall", "F1", "clips")
    return Table(head, tuple(rows), model["title"])


def noise(models: Sequence[Model]) -> Table:
    """Return accuracy at each level of noise, a row a model and figure."""
    levels = [row["snr_db"] for row in models[0]["noise"]]
    head = ("", *("clean" if level is None else f"{level:g} dB" for level in levels))
    rows: list[tuple[str, ...]] = []
    for model in models:
        table = model["noise"]
        rows += [
            (
                f"{model['title']}: accuracy",
                *(
                    percent(row["accuracy"]) + interval(row["accuracy_interval_95"], factor=100)
                    for row in table
                ),
            ),
            (
                f"{model['title']}: keywords recognised",
                *(percent(row["keyword_recall"]) for row in table),
            ),
            (
                f"{model['title']}: calibration error, points",
                *(f"{100 * row['expected_calibration_error']:.1f}" for row in table),
            ),
        ]
    return Table(head, tuple(rows))


def reliability(models: Sequence[Model]) -> Table:
    """Return the calibration error of each model."""
    rows = [
        (
            model["title"],
            f"{100 * model['reliability']['expected_calibration_error']:.2f} points",
        )
        for model in models
    ]
    return Table(("", "expected calibration error"), tuple(rows))


def streams(models: Sequence[Model]) -> list[Table]:
    """Return misses at rates of false accepts, then each folder and each keyword."""
    rates = [row["at_most_per_hour"] for row in models[0]["streams"]["at_most_per_hour"]]
    at_most = [
        (
            model["title"],
            *(percent(row["false_reject_rate"]) for row in model["streams"]["at_most_per_hour"]),
        )
        for model in models
    ]
    return [
        Table(
            ("", *(f"at {rate:g} an hour" for rate in rates)),
            tuple(at_most),
            "Missed words at so many false accepts an hour or fewer, one threshold for all "
            f"keywords, chosen on this audio; {NONE} where it is too short to tell",
        ),
        _folders(models),
        *(_keywords(model) for model in models),
    ]


def _folders(models: Sequence[Model]) -> Table:
    rows = []
    for model in models:
        for row in model["streams"]["folders"]:
            roles = [name for name in ("misses", "accepts") if row[name]]
            per_hour = row["false_accepts_per_hour"]
            rows.append(
                (
                    f"{model['title']}, {row['folder']}",
                    " and ".join(roles),
                    f"{row['hours']:.2f}",
                    count(row["events"]),
                    percent(row["false_reject_rate"]),
                    count(row["false_accepts"]),
                    NONE if per_hour is None else f"{per_hour:.2f}",
                )
            )
    head = ("", "counts towards", "hours", "words", "missed", "false accepts", "an hour")
    return Table(head, tuple(rows), "Each folder at the thresholds of the manifest")


def _keywords(model: Model) -> Table:
    rows = [
        (
            keyword,
            NONE if row["threshold"] is None else f"{row['threshold']:.3f}",
            count(row["events"]),
            percent(row["false_reject_rate"]),
            count(row["false_accepts"]),
        )
        for keyword, row in model["streams"]["per_keyword"].items()
    ]
    head = ("keyword", "threshold", "words", "missed", "false accepts")
    return Table(head, tuple(rows), f"{model['title']}, at the thresholds of the manifest")


def latency(models: Sequence[Model]) -> Table:
    """Return every measurement of latency and CPU."""
    rows = []
    for model in models:
        for row in model["bench"]:
            hop, machine = row["hop_us"], row["machine"]
            names = [machine[key] for key in ("board", "cpu") if machine[key]]
            pace = "at the pace of speech" if row["paced"] else "back to back"
            rows.append(
                (
                    f"{model['title']}, {row['mode']} form",
                    *(f"{hop[name] / 1000:.3f}" for name in ("p50", "p95", "p99", "max")),
                    f"{row['invoke_us']['p50'] / 1000:.3f}",
                    f"{1000 * row['cpu_s_per_audio_s']:.2f}",
                    f"{row['rss_mb']:.1f}",
                    f"{row['cold_start_s']:.2f}",
                    f"{row['runtime']} {row['runtime_version']}, a hop every {row['hop_ms']} ms, "
                    f"{pace}; {', '.join(names) or machine['architecture']}, {row['date'][:10]}, "
                    f"{row['source']}",
                )
            )
    head = (
        "",
        *("p50 ms", "p95 ms", "p99 ms", "max ms", "invoke p50 ms"),
        *("CPU ms a second", "memory MB", "cold start s", "how and where"),
    )
    return Table(head, tuple(rows))


def published(points: Sequence[dict[str, Any]]) -> Table:
    """Return the published points with their sources."""
    rows = [
        (
            point["name"],
            percent(point["accuracy"], 2),
            point["form"],
            point["set"],
            millions(point["macs"]),
            count(point["parameters"]),
            kilobytes(point["bytes"]),
            point["source"],
        )
        for point in sorted(points, key=lambda point: -point["accuracy"])
    ]
    head = (
        *("", "accuracy", "form", "test set", "multiplications", "parameters", "file"),
        "source",
    )
    return Table(head, tuple(rows), "Published by others, on the canonical test sets")
