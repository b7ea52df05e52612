"""The report of a tuning: figures on the other half, a curve over multiples of the budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from kws.manifest import ModelManifest
from training.datasets.folders import HALVES
from training.plotting import SERIES, new_figure, save_figure
from training.tuning.operating_point import OperatingPoint, figures
from training.tuning.tune import FACTORS, TuneConfig, tune
from training.tuning.tuning_audio import TuningAudio

A, B = HALVES
# For each split the halves to tune on and to report on; None: all speakers, and nothing.
WAYS: dict[str, tuple[tuple[str | None, str | None], ...]] = {
    "a": ((A, B),),
    "b": ((B, A),),
    "both": ((A, B), (B, A)),
    "none": ((None, None),),
}
Points = dict[float, OperatingPoint]


def tune_and_report(
    read_audio: Callable[[str | None], TuningAudio],
    manifest: ModelManifest,
    config: TuneConfig,
    *,
    half: str,
) -> tuple[OperatingPoint, dict[str, Any]]:
    """Tune on one half of the speakers; return the operating point and a report on the other.

    Parameters
    ----------
    read_audio : callable
        Returns the audio of ``half-a``, ``half-b``, or of all speakers (None). The half for the
        report is read only after the operating point is chosen.
    manifest : ModelManifest
        The model.
    config : TuneConfig
        The values to choose from.
    half : str
        ``a`` or ``b``: tune on it, report on the other. ``both``: tune on each half, report on the
        other, and pool the reports; the operating point is then tuned on all speakers. ``none``:
        tune on all speakers, with nothing held out.
    """
    own: list[tuple[TuningAudio, Points]] = []
    held_out: list[tuple[TuningAudio, Points]] = []
    for chosen, other in WAYS[half]:
        audio = read_audio(chosen)
        points = tune(audio, manifest, config, FACTORS)
        own.append((audio, points))
        if other is not None:
            held_out.append((read_audio(other), points))
    point = own[0][1][1.0]
    if half == "both":
        point = tune(read_audio(None), manifest, config)[1.0]
    first = own[0][0]
    report = {
        "budget": {name: str(part.budget) for name, part in first.alarms.items()},
        "weights": {name: part.weight for name, part in first.words.items()},
        "half": half,
        "margin": config.margin,
        "own_share": config.own_share,
        "ways": [
            {"tuned_on": audio.speakers, **points[1.0].as_table(manifest)} for audio, points in own
        ],
        "tuning": _at(own, 1.0, manifest),
        "reporting": {
            "speakers": sorted({name for audio, _ in held_out for name in audio.speakers}),
            **_at(held_out, 1.0, manifest),
        }
        if held_out
        else None,
        "curve": [
            {
                "factor": factor,
                "tuning": _short(_at(own, factor, manifest)),
                "reporting": _short(_at(held_out, factor, manifest)) if held_out else None,
            }
            for factor in FACTORS
        ],
    }
    return point, report


def _at(
    halves: Sequence[tuple[TuningAudio, Points]], factor: float, manifest: ModelManifest
) -> dict[str, Any]:
    return figures([(audio, points[factor]) for audio, points in halves], manifest)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the curve shows of an operating point."""
    conditions = row["conditions"].items()
    return {
        "missed": {
            "mean": row["missed"],
            **{name: part["missed"] for name, part in conditions if part["events"]},
        },
        "used": {name: budget["used"] for name, budget in row["budgets"].items()},
    }


def draw_tuning(report: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw missed words, and the used share of each budget, over multiples of the budgets.

    Solid lines are the half that chose nothing, dashed lines the half that was tuned on.
    """
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    _plot(left, report["curve"], "missed", scale=100)
    _plot(right, report["curve"], "used", scale=1)
    right.plot(FACTORS, FACTORS, color="black", linewidth=0.6)
    left.set(ylabel="missed words, %", ylim=(0, None), title=title)
    right.set(ylabel="false alarms, multiple of the budget", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="tuned for this multiple of the budgets", xscale="log", xticks=FACTORS)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, title="dashed: tuned on")
    save_figure(figure, path)


def _plot(axes: Axes, curve: Sequence[dict[str, Any]], figure: str, *, scale: float) -> None:
    for part, style in (("reporting", "-"), ("tuning", "--")):
        if curve[0][part] is None:
            continue
        for index, name in enumerate(curve[0][part][figure]):
            values = [row[part][figure][name] for row in curve]
            if None in values:
                continue
            label = name if style == "-" or curve[0]["reporting"] is None else None
            axes.plot(
                [row["factor"] for row in curve],
                [scale * value for value in values],
                style,
                color=SERIES[index % len(SERIES)],
                linewidth=2 if style == "-" else 1,
                marker=".",
                label=label,
            )
