"""Tune smoothing, context weight, suppression and thresholds to a false-accept budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.config import MAX_CONTEXT_WEIGHT
from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.evaluation.stream_scores import Tally, tally_files
from training.tuning.operating_point import OperatingPoint
from training.tuning.posterior_cache import MAX_SMOOTHING_MS, ScoreSettings
from training.tuning.threshold_rules import AlarmCounts, choose_steps
from training.tuning.threshold_sweep import Hops, SweepCounts, sweep_thresholds, threshold_grid
from training.tuning.tuning_audio import AudioSet, TuningAudio

# The points of the report's curve, as multiples of all budgets.
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)

# A budget that allows fewer false alarms than this in all its audio cannot be tuned for.
LEAST_EXPECTED = 0.5
# A wrong detection beside the test words costs more than a missed word.
WRONG_COST = 2.0
SUPPRESSION_MS = (300, 500, 700)
# The suppression changes only if that saves more than this share of the words.
SLACK = 0.005


@dataclass(frozen=True)
class TuneConfig:
    """The values to choose from, and what decides between them."""

    smoothing_ms: tuple[int, ...] = (200, 300, 400, 500)
    """Longer smoothing may miss a word that is repeated at once."""

    suppression_ms: tuple[int, ...] = ()
    """Empty: that of the model and `SUPPRESSION_MS`."""

    context_weights: tuple[float, ...] = (0.0, 2.0, 3.0, 4.0)
    """Log odds that all keywords lose after other speech. A model without the labels `_unknown_`
    and `_silence_` keeps its own weights."""

    max_latency_s: float = 0.3
    """Smoothing with a higher median latency after the end of the word is not used, unless all
    have a higher one."""

    own_share: float = 0.25
    """Share of each keyword's own best offset from the common level; see `choose_steps`."""

    margin: float = 0.2
    """Share of each budget that is kept back for chance: the expected false alarms are this much
    below it. Higher: the budgets hold on other audio more often, and more words are missed."""

    def __post_init__(self) -> None:
        smoothing, suppression, weights = (
            self.smoothing_ms,
            self.suppression_ms,
            self.context_weights,
        )
        is_smoothing = all(0 < value <= MAX_SMOOTHING_MS for value in smoothing)
        is_suppression = all(0 <= value <= 60_000 for value in suppression)
        are_weights = all(0 <= value <= MAX_CONTEXT_WEIGHT for value in weights)
        for option, valid, expected, got in (
            ("margin", 0 <= self.margin < 1, "0 to below 1", self.margin),
            ("own-share", 0 <= self.own_share <= 1, "0 to 1", self.own_share),
            ("max-latency-s", self.max_latency_s > 0, "above 0", self.max_latency_s),
            ("smoothing-ms", is_smoothing, f"above 0 and up to {MAX_SMOOTHING_MS}", smoothing),
            ("suppression-ms", is_suppression, "0 to 60000", suppression),
            ("context-weights", are_weights, f"0 to {MAX_CONTEXT_WEIGHT}", weights),
        ):
            if not valid:
                raise ConfigError(f"--{option}: expected {expected}, got {got}")


class Candidate(NamedTuple):
    """An operating point for a multiple of the budgets, with its cost on the test words."""

    factor: float
    cost: float
    point: OperatingPoint


def tune(
    audio: TuningAudio,
    manifest: ModelManifest,
    config: TuneConfig,
    factors: Iterable[float] = (1.0,),
) -> dict[float, OperatingPoint]:
    """Return the operating point that keeps all budgets together, for multiples of them.

    Thresholds are chosen for each smoothing, context weight and suppression; of these the ones
    with the lowest cost on the test words are taken. Without test words they stay as they are and
    all keywords get the same threshold, since the cost of a higher one is unknown.

    Raises
    ------
    ConfigError
        If the audio is too short for a budget, or no useful threshold keeps them.
    """
    for name, part in audio.alarms.items():
        _check_length(name, part)
    found = [
        candidate
        for scoring in _score_settings(audio, manifest, config)
        for candidate in _candidates(audio, manifest, config, sorted({1.0, *factors}), scoring)
    ]
    prompt = _prompt(found, audio, manifest, config)
    own_ms = manifest.decision.suppression_ms
    best = {}
    for factor in sorted({1.0, *factors}):
        choices = [one for one in found if one.factor == factor and one.point.scoring in prompt]
        limit = min(one.cost for one in choices) + SLACK
        best[factor] = min(
            (one for one in choices if one.cost <= limit),
            key=lambda one: (abs(one.point.suppression_ms - own_ms), one.cost),
        ).point
    if min(best[1.0].thresholds.values()) >= 1.0:
        asked = ", ".join(f"{name}={part.budget}" for name, part in audio.alarms.items())
        raise ConfigError(
            f"budget {asked}: every threshold that keeps it silences a keyword completely; "
            "expected a better model, more audio, or higher budgets"
        )
    return best


def _check_length(name: str, part: AudioSet) -> None:
    if part.allowed >= LEAST_EXPECTED:
        return
    assert part.budget is not None
    least = LEAST_EXPECTED / part.budget.limit
    there = f"{part.n_others} other words" if part.budget.is_share else f"{part.hours:.2f} h"
    wanted = f"{math.ceil(least)} words" if part.budget.is_share else f"{least:g} h"
    raise ConfigError(
        f"{name}: {there} are too few to tune for {name}={part.budget}; expected at least "
        f"{wanted} in the half that is tuned on, a higher budget, or --half none"
    )


def _score_settings(
    audio: TuningAudio, manifest: ModelManifest, config: TuneConfig
) -> list[ScoreSettings]:
    """Return the combinations of smoothing and context weight to try."""
    if not audio.words:
        return [ScoreSettings(manifest.decision.smoothing_ms, None)]
    weights = config.context_weights if manifest.tells_speech else (None,)
    return [ScoreSettings(ms, weight) for ms in config.smoothing_ms for weight in weights]


def _candidates(
    audio: TuningAudio,
    manifest: ModelManifest,
    config: TuneConfig,
    factors: Sequence[float],
    scoring: ScoreSettings,
) -> list[Candidate]:
    """Return the best thresholds for each suppression and multiple of the budgets."""
    grid = threshold_grid()
    alarms = {name: _hops(part, manifest, scoring) for name, part in audio.alarms.items()}
    words = {name: _hops(part, manifest, scoring) for name, part in audio.words.items()}
    own_ms = manifest.decision.suppression_ms
    spans = set(config.suppression_ms or (own_ms, *SUPPRESSION_MS)) if words else {own_ms}
    found = []
    for suppression_ms in sorted(spans):
        suppression_s = suppression_ms / 1000
        counted = [
            _alarm_counts(
                audio.sets[name], sweep_thresholds(hops, grid, suppression_s=suppression_s)
            )
            for name, hops in alarms.items()
        ]
        costs = np.zeros((len(manifest.keywords), len(grid)))
        for name, hops in words.items():
            counts = sweep_thresholds(hops, grid, suppression_s=suppression_s)
            costs += _costs(hops, counts) * _weight(audio, name)
        chosen = choose_steps(
            counted,
            costs,
            grid,
            factors=factors,
            own_share=config.own_share if words else 0.0,
            margin=config.margin,
        )
        for factor, steps in zip(factors, chosen):
            thresholds = [round(float(grid[step]), 3) for step in steps]
            point = OperatingPoint(
                scoring, suppression_ms, dict(zip(manifest.keywords, thresholds))
            )
            cost = float(costs[np.arange(len(costs)), steps].sum())
            found.append(Candidate(factor, cost, point))
    return found


def _prompt(
    found: Sequence[Candidate], audio: TuningAudio, manifest: ModelManifest, config: TuneConfig
) -> set[ScoreSettings]:
    """Return the score settings within the latency limit, or else the fastest one."""
    asked = [one.point for one in found if one.factor == 1]
    latency_s = {}
    for scoring in {point.scoring for point in asked}:
        point = min(
            (point for point in asked if point.scoring == scoring),
            key=lambda point: abs(point.suppression_ms - manifest.decision.suppression_ms),
        )
        late = [
            late_s
            for part in audio.words.values()
            for late_s in _tally(part, point, manifest).latencies_s
        ]
        latency_s[scoring] = float(np.median(late)) if late else 0.0
    limit_s = max(config.max_latency_s + 1e-9, min(latency_s.values()))
    return {scoring for scoring, late_s in latency_s.items() if late_s <= limit_s}


def _tally(part: AudioSet, point: OperatingPoint, manifest: ModelManifest) -> Tally:
    files = point.detect(part, manifest)
    return tally_files(((file.file, file.detections) for file in files), part.events)


def _hops(part: AudioSet, manifest: ModelManifest, scoring: ScoreSettings) -> Hops:
    scores = [scoring.scores(file, manifest) for file in part.files]
    return Hops.gather(scores, part.events, manifest.labels, manifest.keywords)


def _alarm_counts(part: AudioSet, counts: SweepCounts) -> AlarmCounts:
    assert part.budget is not None
    wrong = counts.fired if part.budget.is_share else counts.false_accepts
    return AlarmCounts(wrong, part.allowed)


def _weight(audio: TuningAudio, name: str) -> float:
    """Return the share of a set of test words in the cost."""
    whole = sum(part.weight for part in audio.words.values())
    return audio.sets[name].weight / whole if whole else 0.0


def _costs(words: Hops, counts: SweepCounts) -> NDArray[np.float64]:
    """Return the cost on a set of test words of each keyword and threshold, as a share of them.

    A missed word costs 1, so does a second detection of a word, and a detection elsewhere costs
    `WRONG_COST`.
    """
    missed = words.n_events[:, None] - counts.hits
    cost = missed + counts.doubled + WRONG_COST * counts.false_accepts
    return np.asarray(cost / max(1, int(words.n_events.sum())), np.float64)
