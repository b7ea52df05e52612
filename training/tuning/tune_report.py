"""The report of a tuning: figures on the other speakers, as a curve over budgets and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kws.manifest import ModelManifest
from training.datasets.folders import HALVES
from training.plotting import new_figure, save_figure
from training.tuning.operating_point import OperatingPoint, Outcome, measure
from training.tuning.tune import BUDGETS, TuneConfig, tune
from training.tuning.tuning_audio import TuningAudio

A, B = HALVES
# For each split the halves to tune on and to report on; None: all speakers, and nothing.
WAYS: dict[str, tuple[tuple[str | None, str | None], ...]] = {
    "half-a": ((A, B),),
    "half-b": ((B, A),),
    "both-ways": ((A, B), (B, A)),
    "none": ((None, None),),
}


def tune_and_report(
    read_audio: Callable[[str | None], TuningAudio],
    manifest: ModelManifest,
    config: TuneConfig,
    *,
    split: str,
) -> tuple[OperatingPoint, dict[str, Any]]:
    """Tune on one part of the speakers; return the operating point and a report on the others.

    Parameters
    ----------
    read_audio : callable
        Returns the audio of ``half-a``, ``half-b``, or of all speakers (None). The half for the
        report is read only after the operating point is chosen.
    manifest : ModelManifest
        The model.
    config : TuneConfig
        The budget, and the values to choose from.
    split : str
        ``half-a`` or ``half-b``: tune on it, report on the other. ``both-ways``: tune on each
        half, report on the other, and pool the reports; the operating point is then tuned on all
        speakers. ``none``: tune on all speakers, with nothing held out.
    """
    asked = config.fa_per_hour
    own: dict[float, Outcome] = {}
    reported: dict[float, Outcome] = {}
    speakers: list[str] = []
    described: list[dict[str, Any]] = []
    for half, other in WAYS[split]:
        audio = read_audio(half)
        points = tune(audio, manifest, config, BUDGETS)
        tuned_on = {"tuned_on": list(audio.quiet.speakers)}
        described.append({**tuned_on, **points[asked].as_table(manifest)})
        _add_outcomes(own, audio, points, manifest)
        if other is not None:
            held_out = read_audio(other)
            speakers += held_out.quiet.speakers
            _add_outcomes(reported, held_out, points, manifest)
    chosen = points[asked]
    if split == "both-ways":
        chosen = tune(read_audio(None), manifest, config)[asked]
    keywords = manifest.keywords
    report = {
        "fa_per_hour": asked,
        "split": split,
        "own_share": config.own_share,
        "ways": described,
        "tuning": own[asked].figures(keywords),
        "reporting": {"speakers": speakers, **reported[asked].figures(keywords)}
        if reported
        else None,
        "curve": [
            {
                "fa_per_hour": budget,
                "tuning": _point(own[budget], keywords),
                "reporting": _point(reported[budget], keywords) if reported else None,
            }
            for budget in sorted(own)
        ],
    }
    return chosen, report


def _add_outcomes(
    outcomes: dict[float, Outcome],
    audio: TuningAudio,
    points: dict[float, OperatingPoint],
    manifest: ModelManifest,
) -> None:
    for budget, point in points.items():
        outcome = measure(audio, point, manifest)
        outcomes[budget] = outcomes[budget] + outcome if budget in outcomes else outcome


def _point(outcome: Outcome, keywords: Sequence[str]) -> dict[str, Any]:
    figures = outcome.figures(keywords)
    names = (
        "false_accepts",
        "false_accepts_per_hour",
        "false_accepts_interval_95",
        "false_reject_rate",
        "false_reject_interval_95",
    )
    return {name: figures[name] for name in names}


def draw_tuning(report: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw missed words against false alarms per hour for every budget, on both parts.

    Bands are the 95 % intervals of the missed words, bars those of the false alarms; the ring
    marks the budget that was asked for.
    """
    figure = new_figure(7.5, 5)
    axes = figure.subplots()
    _plot_part(axes, report, "tuning", label="tuned on", colour="#7fb3d5")
    _plot_part(axes, report, "reporting", label="other speakers", colour="#d95f02")
    axes.set(
        xlabel="false alarms per hour, all keywords together",
        ylabel="missed words, %",
        title=title,
        xscale="symlog",
        xlim=(-0.05, 20),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    axes.legend(title=f"ring: tuned for {report['fa_per_hour']:g} per hour")
    save_figure(figure, path)


def _plot_part(axes: Axes, report: dict[str, Any], part: str, *, label: str, colour: str) -> None:
    rows = [
        (row["fa_per_hour"], row[part])
        for row in report["curve"]
        if row[part] and row[part]["false_reject_rate"] is not None
    ]
    if not rows:
        return
    rates = np.array([row["false_accepts_per_hour"] for _, row in rows])
    misses = 100 * np.array([row["false_reject_rate"] for _, row in rows])
    spans = 100 * np.array([row["false_reject_interval_95"] for _, row in rows])
    bars = np.array([row["false_accepts_interval_95"] for _, row in rows])
    order = np.lexsort((-misses, rates))
    axes.fill_between(rates[order], spans[order, 0], spans[order, 1], color=colour, alpha=0.2)
    xerr = np.abs(bars.T - rates)
    axes.errorbar(rates, misses, xerr=xerr, color=colour, marker=".", elinewidth=0.5, label=label)
    ring = [budget == report["fa_per_hour"] for budget, _ in rows]
    axes.plot(rates[ring], misses[ring], "o", ms=12, mfc="none", color=colour)
