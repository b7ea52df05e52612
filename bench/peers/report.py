"""Turn measurements into a table with ratios, as Markdown that reads as plain text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

HEADER = (
    "peer",
    "chunk ms",
    "back to back: ms CPU per s of audio",
    "x {reference}",
    "paced: ms CPU per s of audio",
    "x {reference}",
    "peak MB",
    "cold start s (CPU s)",
)


def summarise(samples: dict[str, list[float]], reference: dict[str, list[float]]) -> dict[str, Any]:
    """Return median, least and most of each quantity, and the ratios to the reference.

    Parameters
    ----------
    samples, reference : dict of list of float
        For each quantity one value per round, in the same order. A ratio is the median of the
        ratios of the rounds, because disturbances affect neighbouring runs alike.
    """
    summary: dict[str, Any] = {}
    for quantity, values in samples.items():
        if values:
            summary[quantity] = {
                "median": round(statistics.median(values), 6),
                "min": round(min(values), 6),
                "max": round(max(values), 6),
                "n": len(values),
            }
    for quantity in ("burst", "paced"):
        pairs = list(zip(samples[quantity], reference.get(quantity, [])))
        if pairs:
            ratios = [value / other for value, other in pairs]
            summary[f"{quantity}_ratio"] = round(statistics.median(ratios), 3)
    return summary


def markdown(report: dict[str, Any]) -> str:
    """Return the table, padded to read as plain text, and notes on the conditions."""
    header = [cell.format(reference=report["reference"]) for cell in HEADER]
    lines = [header, *(_cells(row) for row in report["rows"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    table = [_line(header, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    table += [_line(line, widths) for line in lines[1:]]
    return "\n".join([*table, "", *(f"* {note}" for note in _notes(report))]) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["peer"],
        str(row["chunk_ms"]),
        _span(row, "burst", 1000),
        _ratio(row, "burst_ratio"),
        _span(row, "paced", 1000),
        _ratio(row, "paced_ratio"),
        f"{row['rss_mb']['median']:.0f}" if "rss_mb" in row else "-",
        _cold_start(row),
    ]


def _span(row: dict[str, Any], quantity: str, scale: float) -> str:
    if quantity not in row:
        return "-"
    median, least, most = (scale * row[quantity][part] for part in ("median", "min", "max"))
    return f"{median:.2f} ({least:.2f}-{most:.2f})"


def _cold_start(row: dict[str, Any]) -> str:
    if "cold_start_s" not in row:
        return "-"
    return f"{row['cold_start_s']['median']:.3f} ({row['cold_start_cpu_s']['median']:.3f})"


def _ratio(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.2f}" if key in row else "-"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)) + " |"


def _notes(report: dict[str, Any]) -> list[str]:
    machine = report["machine"]
    rounds = report["rounds"]
    paced = report["paced_seconds"]
    notes = [
        f"`{report['command']}`",
        f"{machine['cpu']}, {machine['architecture']}, {machine['cores']} cores, of which one "
        f"(core {machine['core']}) was used, with one thread where the peer lets one choose; "
        f"{machine['system']}, Python {report['python']}; load {machine['load_1min']} before.",
        f"{report['seconds']:g} s of audio back to back"
        + (f", {paced:g} s in real time" if paced else "")
        + f", after {report['warm_up_s']:g} s of warm-up. Audio: {report['audio']}.",
        ("One round." if rounds == 1 else f"{rounds} rounds in turn: median (least-most).")
        + " A ratio is the median of the rounds' ratios.",
        "CPU is user and system time of all threads, start-up excluded. Peak MB leaves out the "
        "audio that the driver holds. Cold start runs from spawning the process to its first "
        "inference, start of Python included.",
        *_peer_notes(report["rows"]),
        *(f"Left out: {name}: {reason}" for name, reason in report["skipped"].items()),
        *(f"Warning: {text}" for text in report["warnings"]),
    ]
    if any(row["wake_word"] for row in report["rows"]):
        notes.append(
            "The wake-word engines cost the same whether or not the audio contains their phrase."
        )
    return notes


def _peer_notes(rows: list[dict[str, Any]]) -> list[str]:
    """Return the inferences, detections and versions of each peer."""
    notes = {}
    for row in rows:
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        note = (
            f"{row['peer']}: {row['does']}; {row['inferences_per_s']:g} inferences a second, "
            f"{row['detections']} detections back to back" + (f"; {versions}." if versions else ".")
        )
        notes.setdefault(row["peer"], note)
    return list(notes.values())
