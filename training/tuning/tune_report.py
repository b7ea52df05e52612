"""What a tuning is worth: figures on the speakers it did not see, curve and picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.manifest import ModelManifest
from training.datasets.folders import HALVES
from training.plotting import new_figure, save_figure
from training.tuning.operating_point import Outcome, Setting, measure
from training.tuning.tune import BUDGETS, TuneConfig, tune
from training.tuning.tune_data import Material

SPLITS = ("half-a", "half-b", "both-ways", "none")


@dataclass(frozen=True)
class Tuned:
    """The setting that is to be used, and the report on it."""

    setting: Setting
    report: dict[str, Any]


def tune_and_report(
    listen: Callable[[str | None], Material],
    manifest: ModelManifest,
    config: TuneConfig,
    *,
    split: str,
) -> Tuned:
    """Tune on one part of the speakers and report on the other.

    Parameters
    ----------
    listen : callable
        Returns the material of ``half-a``, ``half-b``, or of all speakers (None). The half that
        is reported on is asked for only once the setting is chosen.
    manifest : ModelManifest
        The model.
    config : TuneConfig
        What is asked for.
    split : str
        ``half-a`` or ``half-b``: tune on it, report on the other. ``both-ways``: each half is
        tuned on and reported on the other, the reports are pooled, and the setting to use comes
        from all speakers. ``none``: all speakers are tuned on and nothing is held out.
    """
    if split == "none":
        everyone = listen(None)
        settings = tune(everyone, manifest, config, BUDGETS)
        done = {budget: measure(everyone, settings[budget], manifest) for budget in settings}
        return Tuned(
            settings[config.fa_per_hour],
            _report([(everyone, settings, done)], {}, [], manifest, config, split),
        )
    ways = HALVES if split == "both-ways" else (split,)
    tuned = []
    reported: dict[float, Outcome] = {}
    speakers: list[str] = []
    for half in ways:
        mine = listen(half)
        settings = tune(mine, manifest, config, BUDGETS)
        own = {budget: measure(mine, settings[budget], manifest) for budget in settings}
        tuned.append((mine, settings, own))
        other = listen(HALVES[1 - HALVES.index(half)])
        speakers += other.quiet.speakers
        for budget, setting in settings.items():
            outcome = measure(other, setting, manifest)
            reported[budget] = reported[budget] + outcome if budget in reported else outcome
    setting = tuned[0][1][config.fa_per_hour]
    if split == "both-ways":
        setting = tune(listen(None), manifest, config)[config.fa_per_hour]
    return Tuned(setting, _report(tuned, reported, speakers, manifest, config, split))


def _report(
    tuned: Sequence[tuple[Material, dict[float, Setting], dict[float, Outcome]]],
    reported: dict[float, Outcome],
    speakers: Sequence[str],
    manifest: ModelManifest,
    config: TuneConfig,
    split: str,
) -> dict[str, Any]:
    own: dict[float, Outcome] = {}
    for _, _, outcomes in tuned:
        for budget, outcome in outcomes.items():
            own[budget] = own[budget] + outcome if budget in own else outcome
    asked = config.fa_per_hour
    keywords = manifest.keywords
    return {
        "fa_per_hour": asked,
        "split": split,
        "rule": config.rule.rule,
        "own_share": config.rule.own_share,
        "ways": [
            {
                "tuned_on": list(material.quiet.speakers),
                "smoothing_ms": settings[asked].scoring.smoothing_ms,
                "context_weights": dict(settings[asked].scoring.weights(manifest)),
                "suppression_ms": settings[asked].suppression_ms,
                "thresholds": dict(settings[asked].thresholds),
            }
            for material, settings, _ in tuned
        ],
        "tuning": own[asked].figures(keywords),
        "reporting": {
            "speakers": list(speakers),
            **reported[asked].figures(keywords),
        }
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
    """Draw misses against false accepts an hour for every budget, on both parts.

    Bands are the 95 % intervals of the misses, bars those of the false accepts; the ring is
    the budget that was asked for.
    """
    figure = new_figure(7.5, 5)
    axes = figure.subplots()
    parts = (("tuning", "tuned on", "#7fb3d5"), ("reporting", "other speakers", "#d95f02"))
    for part, label, colour in parts:
        points = [(row["fa_per_hour"], row[part]) for row in report["curve"] if row[part]]
        points = [point for point in points if point[1]["false_reject_rate"] is not None]
        if not points:
            continue
        rates = [point["false_accepts_per_hour"] for _, point in points]
        misses = [100 * point["false_reject_rate"] for _, point in points]
        lows, highs = zip(*(point["false_reject_interval_95"] for _, point in points))
        order = sorted(range(len(rates)), key=lambda index: (rates[index], -misses[index]))
        axes.fill_between(
            [rates[index] for index in order],
            [100 * lows[index] for index in order],
            [100 * highs[index] for index in order],
            color=colour,
            alpha=0.2,
        )
        left, right = zip(*(point["false_accepts_interval_95"] for _, point in points))
        bars = [
            [rate - low for rate, low in zip(rates, left)],
            [high - rate for rate, high in zip(rates, right)],
        ]
        axes.errorbar(
            rates, misses, xerr=bars, color=colour, marker=".", elinewidth=0.5, label=label
        )
        for budget, point in points:
            if budget == report["fa_per_hour"]:
                axes.plot(
                    point["false_accepts_per_hour"],
                    100 * point["false_reject_rate"],
                    "o",
                    markersize=12,
                    markerfacecolor="none",
                    color=colour,
                )
    axes.set(
        xlabel="false accepts an hour, all keywords together",
        ylabel="missed words, %",
        title=title,
        xscale="symlog",
        xlim=(-0.05, 20),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    axes.legend(title=f"ring: tuned for {report['fa_per_hour']:g} an hour")
    save_figure(figure, path)
