"""Tune smoothing, context, suppression and each keyword's threshold to a false-accept budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.tuning.operating_point import Setting, tally
from training.tuning.score_settings import Scoring
from training.tuning.threshold_rules import RuleConfig, choose_steps
from training.tuning.threshold_sweep import Hops, Staircases, staircases, threshold_grid
from training.tuning.tune_data import Material, Part

# Where the curve of a report has its points, in false accepts an hour.
BUDGETS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)

# Less than this many false accepts in all the audio there is cannot be tuned for.
LEAST_EXPECTED = 0.5
# A keyword that fires at another word, or at noise, does what nobody asked for: worse than a miss.
WRONG_COST = 2.0
SUPPRESSION_MS = (300, 500, 700)
# Another suppression than the model has must save more than this part of the words.
SLACK = 0.005


@dataclass(frozen=True)
class TuneConfig:
    """What is asked for, and what may be tried."""

    fa_per_hour: float = 1.0
    """False accepts of all keywords together."""

    smoothing_ms: tuple[int, ...] = (200, 300, 400, 500)
    """Longer holds a score up so long that the same word, said again, may not fire."""

    suppression_ms: tuple[int, ...] = ()
    """Without any: the model's own and `SUPPRESSION_MS`."""

    context_weights: tuple[float, ...] = (0.0, 2.0, 3.0, 4.0)
    """Log odds that all keywords lose after other speech. A model without labels for speech and
    for none keeps what it has."""

    max_latency_s: float = 0.3
    """Smoothing that makes the median detection come later than this after the word's end is
    passed over, unless all does."""

    floor: float = 0.2
    """Lowest threshold."""

    rule: RuleConfig = field(default_factory=RuleConfig)

    def __post_init__(self) -> None:
        if not self.fa_per_hour > 0:
            raise ConfigError(f"--fa-per-hour must be above 0, got {self.fa_per_hour:g}")
        if not 0 < self.floor < 0.99:
            raise ConfigError(f"--floor must lie above 0 and below 0.99, got {self.floor:g}")
        if not self.max_latency_s > 0:
            raise ConfigError(f"--max-latency-s must be above 0, got {self.max_latency_s:g}")


def tune(
    material: Material, manifest: ModelManifest, config: TuneConfig, budgets: Sequence[float] = ()
) -> dict[float, Setting]:
    """Return the setting for the budget asked for, and for each of `budgets`.

    Smoothing, context and suppression are those with the fewest misses, double and wrong firings
    on the test words once thresholds are chosen for the budget. Without test words they stay,
    and all keywords get one threshold: nothing says what a higher one would cost.
    """
    if material.quiet.hours * config.fa_per_hour < LEAST_EXPECTED:
        raise ConfigError(
            f"--audio: {material.quiet.hours:.2f} h to tune on say nothing about "
            f"{config.fa_per_hour:g} false accepts an hour; expected at least "
            f"{LEAST_EXPECTED / config.fa_per_hour:g} h in the half that is tuned on, a higher "
            "--fa-per-hour, or --split-speakers none"
        )
    all_budgets = sorted({config.fa_per_hour, *budgets})
    chosen = _tune(material, manifest, config, all_budgets)
    if min(chosen[config.fa_per_hour].thresholds.values()) >= 1.0:
        raise ConfigError(
            f"{config.fa_per_hour:g} false accepts an hour: every threshold that keeps it silences "
            "the keyword altogether; expected a better model, more audio, or a higher --fa-per-hour"
        )
    return chosen


def _tune(
    material: Material, manifest: ModelManifest, config: TuneConfig, all_budgets: Sequence[float]
) -> dict[float, Setting]:
    own = manifest.decision
    if not material.words.files:
        scoring = Scoring(own.smoothing_ms, None)
        only = _choices(material, manifest, config, all_budgets, scoring)
        return {budget: setting for budget, (_, setting) in only[own.suppression_ms].items()}
    kept = own.suppression_ms
    found = {
        scoring: _choices(material, manifest, config, all_budgets, scoring)
        for scoring in scorings(manifest, config)
    }
    prompt = _prompt(found, material, manifest, config)
    n_words = sum(event.keyword in manifest.keywords for event in material.words.events)
    best = {}
    for budget in all_budgets:
        candidates = [
            (cost, abs(suppression_ms - kept), setting)
            for scoring in prompt
            for suppression_ms, by_budget in found[scoring].items()
            for cost, setting in (by_budget[budget],)
        ]
        least = min(cost for cost, _, _ in candidates)
        as_good = [item for item in candidates if item[0] <= least + SLACK * n_words]
        nearest = min(distance for _, distance, _ in as_good)
        best[budget] = min(
            (item for item in as_good if item[1] == nearest), key=lambda item: item[0]
        )[2]
    return best


def scorings(manifest: ModelManifest, config: TuneConfig) -> list[Scoring]:
    """Return all that is tried to make scores of posteriors."""
    weights = config.context_weights if manifest.tells_speech else (None,)
    return [Scoring(ms, weight) for ms in config.smoothing_ms for weight in weights]


def _choices(
    material: Material,
    manifest: ModelManifest,
    config: TuneConfig,
    budgets: Sequence[float],
    scoring: Scoring,
) -> dict[int, dict[float, tuple[float, Setting]]]:
    """Return for one scoring, by suppression and budget: the cost and the setting."""
    grid = threshold_grid(floor=config.floor)
    quiet, words = (_hops(part, manifest, scoring) for part in (material.quiet, material.words))
    own_ms = manifest.decision.suppression_ms
    spans = set(config.suppression_ms or (own_ms, *SUPPRESSION_MS)) if words else {own_ms}
    rule = config.rule if words else RuleConfig(rule="common")
    found: dict[int, dict[float, tuple[float, Setting]]] = {}
    for suppression_ms in sorted(spans):
        assert quiet is not None
        false = staircases(quiet, grid, suppression_s=suppression_ms / 1000).false_accepts
        costs = np.zeros(false.shape[:2])
        if words:
            stairs = staircases(words, grid, suppression_s=suppression_ms / 1000)
            costs = costs_of(words, stairs).sum(axis=2)
        chosen = choose_steps(
            false.sum(axis=2),
            costs,
            grid,
            hours=material.quiet.hours,
            budgets=budgets,
            config=rule,
        )
        found[suppression_ms] = {
            budget: (
                float(costs[np.arange(len(costs)), steps].sum()),
                Setting(
                    scoring,
                    suppression_ms,
                    dict(zip(manifest.keywords, (round(float(grid[step]), 3) for step in steps))),
                ),
            )
            for budget, steps in zip(budgets, chosen)
        }
    return found


def _prompt(
    found: Mapping[Scoring, Mapping[int, Mapping[float, tuple[float, Setting]]]],
    material: Material,
    manifest: ModelManifest,
    config: TuneConfig,
) -> list[Scoring]:
    """Return the scorings that keep the latency, or the one that comes nearest."""
    latency_s = {}
    for scoring, by_suppression in found.items():
        own_ms = manifest.decision.suppression_ms
        nearest = min(by_suppression, key=lambda span_ms: abs(span_ms - own_ms))
        _, setting = by_suppression[nearest][config.fa_per_hour]
        late = tally(material.words, setting, manifest).latencies_s
        latency_s[scoring] = float(np.median(late)) if late else 0.0
    prompt = [one for one, late in latency_s.items() if late <= config.max_latency_s + 1e-9]
    return prompt or [min(latency_s, key=lambda one: latency_s[one])]


def _hops(part: Part, manifest: ModelManifest, scoring: Scoring) -> Hops | None:
    if not part.files:
        return None
    scores = [scoring.of(file, manifest) for file in part.files]
    return Hops.gather(scores, part.events, manifest.labels, manifest.keywords)


def costs_of(words: Hops, stairs: Staircases) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what firings on test words cost: ``(n_keywords, n_thresholds, n_files)``.

    A word missed counts 1, one heard twice as well, a firing at another word `WRONG_COST`.
    """
    missed = words.n_events[:, None, :] - stairs.hits
    wrong = WRONG_COST * stairs.false_accepts
    return np.asarray(missed + stairs.doubled + wrong, dtype=np.float64)
