"""Tune smoothing, context weight, suppression and thresholds to a false-accept budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.config import MAX_CONTEXT_WEIGHT
from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.tuning.operating_point import OperatingPoint, tally
from training.tuning.posterior_cache import MAX_SMOOTHING_MS, ScoreSettings
from training.tuning.threshold_rules import choose_steps
from training.tuning.threshold_sweep import Hops, SweepCounts, sweep_thresholds, threshold_grid
from training.tuning.tuning_audio import AudioSet, TuningAudio

# The points of the report's curve, in false accepts per hour.
BUDGETS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)

# A budget that allows fewer false accepts than this in all the audio cannot be tuned for.
LEAST_EXPECTED = 0.5
# A wrong detection beside the test words costs more than a missed word.
WRONG_COST = 2.0
SUPPRESSION_MS = (300, 500, 700)
# The suppression changes only if that saves more than this share of the words.
SLACK = 0.005


@dataclass(frozen=True)
class TuneConfig:
    """The budget, and the values to choose from."""

    fa_per_hour: float = 1.0
    """False accepts of all keywords together."""

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
            ("fa-per-hour", self.fa_per_hour > 0, "above 0", self.fa_per_hour),
            ("own-share", 0 <= self.own_share <= 1, "0 to 1", self.own_share),
            ("max-latency-s", self.max_latency_s > 0, "above 0", self.max_latency_s),
            ("smoothing-ms", is_smoothing, f"above 0 and up to {MAX_SMOOTHING_MS}", smoothing),
            ("suppression-ms", is_suppression, "0 to 60000", suppression),
            ("context-weights", are_weights, f"0 to {MAX_CONTEXT_WEIGHT}", weights),
        ):
            if not valid:
                raise ConfigError(f"--{option}: expected {expected}, got {got}")


class Candidate(NamedTuple):
    """An operating point for a budget, with its cost on the test words."""

    budget: float
    cost: float
    point: OperatingPoint


def tune(
    audio: TuningAudio, manifest: ModelManifest, config: TuneConfig, budgets: Sequence[float] = ()
) -> dict[float, OperatingPoint]:
    """Return the operating point for the budget asked for, and for each of `budgets`.

    Thresholds are chosen for each smoothing, context weight and suppression; of these the ones
    with the lowest cost on the test words are taken. Without test words they stay as they are and
    all keywords get the same threshold, since the cost of a higher one is unknown.

    Raises
    ------
    ConfigError
        If the audio is too short for the budget, or no useful threshold keeps it.
    """
    asked = config.fa_per_hour
    if audio.quiet.hours * asked < LEAST_EXPECTED:
        raise ConfigError(
            f"--audio: {audio.quiet.hours:.2f} h are too short to tune for {asked:g} false accepts "
            f"per hour; expected at least {LEAST_EXPECTED / asked:g} h in the half that is tuned "
            "on, a higher --fa-per-hour, or --split-speakers none"
        )
    found = [
        candidate
        for scoring in _score_settings(audio, manifest, config)
        for candidate in _candidates(audio, manifest, config, {asked, *budgets}, scoring)
    ]
    prompt = _prompt(found, audio, manifest, config)
    n_words = sum(event.keyword in manifest.keywords for event in audio.words.events)
    own_ms = manifest.decision.suppression_ms
    best = {}
    for budget in sorted({asked, *budgets}):
        choices = [one for one in found if one.budget == budget and one.point.scoring in prompt]
        limit = min(one.cost for one in choices) + SLACK * n_words
        best[budget] = min(
            (one for one in choices if one.cost <= limit),
            key=lambda one: (abs(one.point.suppression_ms - own_ms), one.cost),
        ).point
    if min(best[asked].thresholds.values()) >= 1.0:
        raise ConfigError(
            f"{asked:g} false accepts per hour: every threshold that keeps this budget silences a "
            "keyword completely; expected a better model, more audio, or a higher --fa-per-hour"
        )
    return best


def _score_settings(
    audio: TuningAudio, manifest: ModelManifest, config: TuneConfig
) -> list[ScoreSettings]:
    """Return the combinations of smoothing and context weight to try."""
    if not audio.words.files:
        return [ScoreSettings(manifest.decision.smoothing_ms, None)]
    weights = config.context_weights if manifest.tells_speech else (None,)
    return [ScoreSettings(ms, weight) for ms in config.smoothing_ms for weight in weights]


def _candidates(
    audio: TuningAudio,
    manifest: ModelManifest,
    config: TuneConfig,
    budgets: Iterable[float],
    scoring: ScoreSettings,
) -> list[Candidate]:
    """Return the best thresholds for each suppression and budget."""
    grid = threshold_grid()
    quiet = _hops(audio.quiet, manifest, scoring)
    words = _hops(audio.words, manifest, scoring) if audio.words.files else None
    own_ms = manifest.decision.suppression_ms
    spans = set(config.suppression_ms or (own_ms, *SUPPRESSION_MS)) if words else {own_ms}
    own_share = config.own_share if words else 0.0
    ordered = sorted(budgets)
    found = []
    for suppression_ms in sorted(spans):
        suppression_s = suppression_ms / 1000
        counts = sweep_thresholds(quiet, grid, suppression_s=suppression_s).false_accepts
        costs = np.zeros(counts.shape)
        if words:
            costs = _costs(words, sweep_thresholds(words, grid, suppression_s=suppression_s))
        chosen = choose_steps(
            counts, costs, grid, hours=audio.quiet.hours, budgets=ordered, own_share=own_share
        )
        for budget, steps in zip(ordered, chosen):
            thresholds = [round(float(grid[step]), 3) for step in steps]
            point = OperatingPoint(
                scoring, suppression_ms, dict(zip(manifest.keywords, thresholds))
            )
            cost = float(costs[np.arange(len(costs)), steps].sum())
            found.append(Candidate(budget, cost, point))
    return found


def _prompt(
    found: Sequence[Candidate], audio: TuningAudio, manifest: ModelManifest, config: TuneConfig
) -> set[ScoreSettings]:
    """Return the score settings within the latency limit, or else the fastest one."""
    asked = [one.point for one in found if one.budget == config.fa_per_hour]
    latency_s = {}
    for scoring in {point.scoring for point in asked}:
        point = min(
            (point for point in asked if point.scoring == scoring),
            key=lambda point: abs(point.suppression_ms - manifest.decision.suppression_ms),
        )
        late = tally(audio.words, point, manifest).latencies_s
        latency_s[scoring] = float(np.median(late)) if late else 0.0
    limit_s = max(config.max_latency_s + 1e-9, min(latency_s.values()))
    return {scoring for scoring, late_s in latency_s.items() if late_s <= limit_s}


def _hops(part: AudioSet, manifest: ModelManifest, scoring: ScoreSettings) -> Hops:
    scores = [scoring.scores(file, manifest) for file in part.files]
    return Hops.gather(scores, part.events, manifest.labels, manifest.keywords)


def _costs(words: Hops, counts: SweepCounts) -> NDArray[np.float64]:
    """Return the cost on the test words of each keyword and threshold.

    A missed word costs 1, so does a second detection of a word, and a detection elsewhere costs
    `WRONG_COST`.
    """
    missed = words.n_events[:, None] - counts.hits
    return np.asarray(missed + counts.doubled + WRONG_COST * counts.false_accepts, np.float64)
