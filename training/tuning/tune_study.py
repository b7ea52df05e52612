"""Which rule holds on speakers that it did not see: tuned and reported over drawn halvings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.datasets.folders import speaker_of
from training.tuning.score_settings import Scoring
from training.tuning.threshold_rules import RuleConfig, choose_steps
from training.tuning.threshold_sweep import Hops, staircases, threshold_grid
from training.tuning.tune import TuneConfig, costs_of, scorings
from training.tuning.tune_data import Material, Part

BUDGETS = (0.5, 1.0, 2.0, 5.0)
STUDIED = {
    "counts": RuleConfig("counts"),
    "margin": RuleConfig("margin"),
    "common": RuleConfig("common"),
    "shrunk 0.25": RuleConfig("shrunk", 0.25),
    "shrunk 0.5": RuleConfig("shrunk", 0.5),
    "shrunk 1": RuleConfig("shrunk", 1.0),
}
Mask = NDArray[np.bool_]


def study(
    material: Material,
    manifest: ModelManifest,
    config: TuneConfig,
    *,
    n_halvings: int,
    progress: Callable[[Sequence[int]], Sequence[int]] = lambda items: items,
    seed: int = 1,
) -> list[dict[str, Any]]:
    """Return for each rule and budget what came out on the halves that were not tuned on.

    Speakers are halved at random, each half is tuned on and reported on the other. Keywords are
    counted each for itself, so that the staircases are made once; smoothing and context are
    chosen as in tuning, latency aside, with the suppression that the manifest has.
    """
    if not material.words.files:
        raise ConfigError("--study needs --misses")
    rng = np.random.default_rng(seed)
    grid = threshold_grid(floor=config.floor)
    tables = [_Table(material, manifest, scoring, grid) for scoring in scorings(manifest, config)]
    sums = {(name, budget): np.zeros(4) for name in STUDIED for budget in BUDGETS}
    for _ in progress(range(n_halvings)):
        quiet = _drawn_half(material.quiet, rng)
        words = _drawn_half(material.words, rng)
        for mine, spoken in ((quiet, words), (~quiet, ~words)):
            for name, rule in STUDIED.items():
                found = [table.choose(mine, spoken, grid, rule) for table in tables]
                for index, budget in enumerate(BUDGETS):
                    best = min(range(len(tables)), key=lambda number: found[number][index][0])
                    steps = found[best][index][1]
                    sums[name, budget] += tables[best].count(~mine, ~spoken, steps)
    return [
        {
            "rule": name,
            "fa_per_hour": budget,
            "false_accepts_per_hour": false / hours,
            "false_reject_rate": missed / n_words,
            "halvings": n_halvings,
        }
        for (name, budget), (false, hours, missed, n_words) in sums.items()
    ]


class _Table:
    """Counts by keyword, threshold and file, with one way to make scores."""

    def __init__(
        self,
        material: Material,
        manifest: ModelManifest,
        scoring: Scoring,
        grid: NDArray[np.float64],
    ) -> None:
        suppression_s = manifest.decision.suppression_ms / 1000
        quiet, words = (
            Hops.gather(
                [scoring.of(file, manifest) for file in part.files],
                part.events,
                manifest.labels,
                manifest.keywords,
            )
            for part in (material.quiet, material.words)
        )
        self._false = staircases(quiet, grid, suppression_s=suppression_s).false_accepts
        heard = staircases(words, grid, suppression_s=suppression_s)
        self._missed = words.n_events[:, None, :] - heard.hits
        self._costs = costs_of(words, heard)
        self._n_words = words.n_events
        self._hours = np.array([file.duration_s for file in material.quiet.files]) / 3600

    def choose(
        self, mine: Mask, spoken: Mask, grid: NDArray[np.float64], rule: RuleConfig
    ) -> list[tuple[float, NDArray[np.int64]]]:
        """Return cost and steps for each of the study's budgets."""
        costs = self._costs[:, :, spoken].sum(axis=2)
        chosen = choose_steps(
            self._false[:, :, mine].sum(axis=2),
            costs,
            grid,
            hours=float(self._hours[mine].sum()),
            budgets=BUDGETS,
            config=rule,
        )
        keywords = np.arange(len(costs))
        return [(float(costs[keywords, steps].sum()), steps) for steps in chosen]

    def count(self, other: Mask, spoken: Mask, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return false accepts, hours, missed words and words."""
        keywords = np.arange(len(steps))
        return np.array(
            [
                self._false[keywords, steps][:, other].sum(),
                self._hours[other].sum(),
                self._missed[keywords, steps][:, spoken].sum(),
                self._n_words[:, spoken].sum(),
            ],
            dtype=np.float64,
        )


def _drawn_half(part: Part, rng: np.random.Generator) -> Mask:
    """Return which files belong to a drawn half of the speakers of each folder."""
    mask = np.zeros(len(part.files), dtype=bool)
    names = [file.file for file in part.files]
    for folder in sorted({name.split("/")[0] for name in names}):
        inside = [index for index, name in enumerate(names) if name.split("/")[0] == folder]
        speakers = sorted({speaker_of(names[index]) for index in inside})
        drawn = set(rng.permutation(speakers)[: (len(speakers) + 1) // 2])
        for index in inside:
            mask[index] = speaker_of(names[index]) in drawn
    return mask
