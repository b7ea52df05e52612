"""The first table of a report: what one would choose a model by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from training.report.tables import NONE, Table, count, interval, kilobytes, millions, percent

Model = dict[str, Any]


def headline(models: Sequence[Model]) -> Table:
    """Return the figures that one would choose a model by, a column a model."""
    rows: list[tuple[str, Callable[[Model], str]]] = [
        ("accuracy on clips (95 % interval)", _accuracy),
        ("clips", lambda model: _of_clips(model, lambda report: count(report["n"]))),
        ("keywords", lambda model: str(model["words"])),
        ("parameters", lambda model: count(model["parameters"])),
        ("file, window form", lambda model: kilobytes(model["bytes"]["window"])),
        ("file, stream form", lambda model: kilobytes(model["bytes"].get("stream"))),
        ("multiplications, a window", lambda model: millions(model["macs"]["window"])),
        ("multiplications, a hop", _macs_of_hop),
        ("latency of a hop, p50 / p95", _latency),
        ("CPU per second of audio", _cpu),
        ("missed words (95 % interval)", _missed),
        ("false accepts an hour (95 % interval)", _false_accepts),
        ("missed at 1 false accept an hour", _missed_at_one),
        ("heard after the end of the word, median / p95", _heard_after),
    ]
    return Table(
        ("", *(model["title"] for model in models)),
        tuple((name, *(show(model) for model in models)) for name, show in rows),
    )


def _accuracy(model: Model) -> str:
    def show(report: dict[str, Any]) -> str:
        span = interval(report["accuracy_interval_95"], factor=100, digits=2)
        return percent(report["accuracy"], 2) + span

    return _of_clips(model, show)


def _of_clips(model: Model, show: Callable[[dict[str, Any]], str]) -> str:
    return show(model["clips"]) if model["clips"] else NONE


def _macs_of_hop(model: Model) -> str:
    macs = model["macs"]
    return NONE if macs["hop"] is None else f"{millions(macs['hop'])} every {macs['hop_ms']} ms"


def _latency(model: Model) -> str:
    bench = chosen_bench(model)
    if bench is None:
        return NONE
    hop = bench["hop_us"]
    return f"{hop['p50'] / 1000:.3f} / {hop['p95'] / 1000:.3f} ms"


def _cpu(model: Model) -> str:
    bench = chosen_bench(model)
    return NONE if bench is None else f"{1000 * bench['cpu_s_per_audio_s']:.2f} ms"


def chosen_bench(model: Model) -> dict[str, Any] | None:
    """Return the measurement that stands for a model: of the form it runs in, if there is one."""
    form = "stream" if "stream" in model["bytes"] else "window"
    benches: list[dict[str, Any]] = model["bench"]
    return next((row for row in benches if row["mode"] == form), benches[0] if benches else None)


def _missed(model: Model) -> str:
    streams = model["streams"]
    if streams is None or streams["false_reject_rate"] is None:
        return NONE
    span = interval(streams["false_reject_interval_95"], factor=100)
    return percent(streams["false_reject_rate"]) + span


def _false_accepts(model: Model) -> str:
    streams = model["streams"]
    if streams is None:
        return NONE
    span = interval(streams["false_accepts_per_hour_interval_95"], digits=2)
    return f"{streams['false_accepts_per_hour']:.2f}{span}"


def _missed_at_one(model: Model) -> str:
    streams = model["streams"]
    if streams is None:
        return NONE
    row = next(row for row in streams["at_most_per_hour"] if row["at_most_per_hour"] == 1)
    return percent(row["false_reject_rate"])


def _heard_after(model: Model) -> str:
    latency = (model["streams"] or {}).get("latency_s", {"median": None})
    if latency["median"] is None:
        return NONE
    return f"{latency['median']:.2f} / {latency['p95']:.2f} s"
