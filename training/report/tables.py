"""The tables of a report as text; the page and the Markdown show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.conditions import scores

Model = dict[str, Any]
NONE = "–"
FORMS = {"window": "non-streaming", "stream": "streaming"}
# A column with longer cells holds words. A table with more columns fills the page's width.
MAX_FIGURE_CHARS, MAX_NARROW_COLUMNS = 30, 5
HEADLINE = (
    "accuracy on clips (95 % interval)",
    "clips",
    "missed words (95 % interval)",
    "false alarms per hour (95 % interval)",
    "missed words at 1 false alarm per hour",
    "latency after the word, median / p95",
    "CPU per second of audio",
    "latency of a hop, p50 / p95",
    "keywords",
    "parameters",
    "file, non-streaming",
    "file, streaming",
    "multiplications per window",
    "multiplications per hop",
)


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of each row is its name."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def words(self) -> frozenset[int]:
        """The columns that hold running text rather than figures."""
        return frozenset(
            index
            for index in range(1, len(self.head))
            if max((len(row[index]) for row in self.rows), default=0) > MAX_FIGURE_CHARS
        )

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(map(escape_markdown, line))} |" for line in lines)

    @property
    def is_broad(self) -> bool:
        """Whether the table fills the width of the page."""
        return len(self.head) > MAX_NARROW_COLUMNS or bool(self.words)


def escape_markdown(text: str) -> str:
    """Return text in which nothing is interpreted as Markdown or HTML."""
    for sign in "\\`*_<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def kilobytes(value: float | None) -> str:
    """Return bytes in kB."""
    return NONE if value is None else f"{value / 1000:.{0 if value >= 99_500 else 1}f} kB"


def millions(value: float | None) -> str:
    """Return a number in millions."""
    return NONE if value is None else f"{value / 1e6:.2f} M"


def count(value: float | None) -> str:
    """Return a whole number with a space between thousands."""
    return NONE if value is None else f"{value:,.0f}".replace(",", " ")


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with this many digits after the point."""
    return NONE if value is None else f"{value:.{digits}f}"


def interval(pair: Sequence[float] | None, *, factor: float = 1.0, digits: int = 1) -> str:
    """Return an interval in parentheses."""
    if pair is None:
        return ""
    return f" ({factor * pair[0]:.{digits}f} to {factor * pair[1]:.{digits}f})"


def headline(models: Sequence[Model]) -> Table:
    """Return the figures by which to choose a model, one column per model."""
    columns = [_headline_column(model) for model in models]
    return Table(("", *(model["title"] for model in models)), tuple(zip(HEADLINE, *columns)))


def _headline_column(model: Model) -> tuple[str, ...]:
    clips, bench, macs = model["clips"], _chosen_bench(model), model["macs"]
    accuracy = n_clips = cpu = hop = NONE
    if clips:
        span = interval(clips["accuracy_interval_95"], factor=100, digits=2)
        accuracy, n_clips = percent(clips["accuracy"], 2) + span, count(clips["n"])
    if bench:
        cpu = f"{1000 * bench['cpu_s_per_audio_s']:.2f} ms"
        hop = (
            " / ".join(decimal(bench["hop_us"][name] / 1000, 3) for name in ("p50", "p95")) + " ms"
        )
    per_hop = NONE if macs["hop"] is None else f"{millions(macs['hop'])} every {macs['hop_ms']} ms"
    return (
        accuracy,
        n_clips,
        *_stream_cells(model["streams"]),
        cpu,
        hop,
        str(model["words"]),
        count(model["parameters"]),
        kilobytes(model["bytes"]["window"]),
        kilobytes(model["bytes"].get("stream")),
        millions(macs["window"]),
        per_hop,
    )


def _chosen_bench(model: Model) -> dict[str, Any] | None:
    """Return the benchmark to show: that of the form in which the model runs, if there is one."""
    form = "stream" if "stream" in model["bytes"] else "window"
    benches: list[dict[str, Any]] = model["bench"]
    return next((row for row in benches if row["mode"] == form), benches[0] if benches else None)


def _stream_cells(streams: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if streams is None:
        return NONE, NONE, NONE, NONE
    at_one = next(row for row in streams["at_most_per_hour"] if row["at_most_per_hour"] == 1)
    late = streams["latency_s"]
    rate, alarms = streams["false_reject_rate"], streams["false_accepts_per_hour"]
    return (
        percent(rate) + interval(streams["false_reject_interval_95"], factor=100),
        decimal(alarms) + interval(streams["false_accepts_per_hour_interval_95"], digits=2),
        percent(at_one["false_reject_rate"]),
        NONE if late["median"] is None else f"{late['median']:.2f} / {late['p95']:.2f} s",
    )


def per_label(model: Model) -> Table:
    """Return precision, recall and F1 of each label of a model."""
    rows = [
        (label, *(percent(row[name]) for name in ("precision", "recall", "f1")), count(row["n"]))
        for label, row in model["clips"]["per_label"].items()
    ]
    return Table(("label", "precision", "recall", "F1", "clips"), tuple(rows), model["title"])


def noise(models: Sequence[Model]) -> Table:
    """Return accuracy at each level of noise, one row per model and figure."""
    levels = [row["snr_db"] for row in models[0]["noise"]]
    head = ("", *("clean" if level is None else f"{level:g} dB" for level in levels))
    rows: list[tuple[str, ...]] = []
    for model in models:
        title, table = model["title"], model["noise"]
        spans = [interval(row["accuracy_interval_95"], factor=100) for row in table]
        accuracy = (percent(row["accuracy"]) + span for row, span in zip(table, spans))
        recall = (percent(row["keyword_recall"]) for row in table)
        error = (decimal(100 * row["expected_calibration_error"], 1) for row in table)
        rows += [
            (f"{title}: accuracy", *accuracy),
            (f"{title}: keyword recall", *recall),
            (f"{title}: calibration error, points", *error),
        ]
    return Table(head, tuple(rows))


def conditions(models: Sequence[Model]) -> Table:
    """Return missed words, false alarms and firing other words, a column a model."""
    rows = scores.table_rows([model["conditions"] for model in models])
    named = tuple((f"{name}: {figure.strip()}", *cells) for name, figure, *cells in rows)
    return Table(("", *(model["title"] for model in models)), named)


def streams(models: Sequence[Model]) -> list[Table]:
    """Return missed words by rate of false alarms, then by folder, then by keyword."""
    rates = [row["at_most_per_hour"] for row in models[0]["streams"]["at_most_per_hour"]]
    at_most = [
        (
            model["title"],
            *(percent(row["false_reject_rate"]) for row in model["streams"]["at_most_per_hour"]),
        )
        for model in models
    ]
    caption = (
        "Missed words at no more than this many false alarms per hour, with one threshold for all "
        f"keywords, chosen on this audio; {NONE}: too little audio"
    )
    head = ("", *(f"{rate:g} per hour" for rate in rates))
    return [
        Table(head, tuple(at_most), caption),
        _folders(models),
        *(_keywords(model) for model in models),
    ]


def _folders(models: Sequence[Model]) -> Table:
    rows = [
        (
            f"{model['title']}, {row['folder']}",
            " and ".join(name for name in ("misses", "accepts") if row[name]),
            decimal(row["hours"]),
            count(row["events"]),
            percent(row["false_reject_rate"]),
            count(row["false_accepts"]),
            decimal(row["false_accepts_per_hour"]),
        )
        for model in models
        for row in model["streams"]["folders"]
    ]
    head = ("", "counts towards", "hours", "words", "missed", "false alarms", "per hour")
    return Table(head, tuple(rows), "Each folder at the thresholds of the manifest")


def _keywords(model: Model) -> Table:
    rows = [
        (
            keyword,
            decimal(row["threshold"], 3),
            count(row["events"]),
            percent(row["false_reject_rate"]),
            count(row["false_accepts"]),
        )
        for keyword, row in model["streams"]["per_keyword"].items()
    ]
    head = ("keyword", "threshold", "words", "missed", "false alarms")
    return Table(head, tuple(rows), f"{model['title']}, at the thresholds of the manifest")


def latency(models: Sequence[Model]) -> Table:
    """Return every measurement of latency and CPU."""
    rows = [_latency_row(model, row) for model in models for row in model["bench"]]
    head = (
        "",
        *("p50 ms", "p95 ms", "p99 ms", "max ms", "invoke p50 ms"),
        *("CPU ms per s", "memory MB", "cold start s", "conditions"),
    )
    return Table(head, tuple(rows))


def _latency_row(model: Model, row: dict[str, Any]) -> tuple[str, ...]:
    hop, machine = row["hop_us"], row["machine"]
    names = [machine[key] for key in ("board", "cpu") if machine[key]]
    pace = "in real time" if row["paced"] else "back to back"
    return (
        f"{model['title']}, {FORMS[row['mode']]}",
        *(decimal(hop[name] / 1000, 3) for name in ("p50", "p95", "p99", "max")),
        decimal(row["invoke_us"]["p50"] / 1000, 3),
        decimal(1000 * row["cpu_s_per_audio_s"]),
        decimal(row["rss_mb"], 1),
        decimal(row["cold_start_s"]),
        f"{row['runtime']} {row['runtime_version']}, a hop every {row['hop_ms']} ms, {pace}; "
        f"{', '.join(names) or machine['architecture']}, {row['date'][:10]}, {row['source']}",
    )


def published(points: Sequence[dict[str, Any]]) -> Table:
    """Return the published models with their sources."""
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
    head = ("", "accuracy", "weights", "test set", "multiplications", "parameters", "file")
    return Table((*head, "source"), tuple(rows), "Published by others, on the canonical test sets")
