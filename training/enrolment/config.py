"""Settings of an enrolment, its result, and the decision settings of enrolled words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kws.errors import ConfigError
from training.embedding.heads import Head
from training.enrolment.calibration import ScoreTail
from training.enrolment.recordings import Recording

THRESHOLD, SUPPRESSION_MS = 0.5, 800


@dataclass(frozen=True)
class EnrolmentConfig:
    """How words are enrolled."""

    copies: int = 60
    """Augmented copies of each recording."""

    per_hour: float = 0.5
    """Target false accepts per hour, for each word."""

    seed: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ConfigError(f"--copies: expected at least 1, got {self.copies}")
        if not 0 < self.per_hour <= 100:
            raise ConfigError(f"--fa-per-hour: expected above 0, up to 100, got {self.per_hour}")


@dataclass(frozen=True)
class Enrolment:
    """A head for some words, and what was measured of it."""

    head: Head
    """Calibrated: a logit of 0 is the threshold."""

    tails: Mapping[str, ScoreTail]
    """Each word's scores on speech without it, before calibration."""

    thresholds: Mapping[str, float]
    recordings: Mapping[str, list[Recording]]
    voices: Mapping[str, int] = field(default_factory=dict)
    """Synthesised voices used beside the recordings of each word."""

    left_out: Mapping[str, list[float]] = field(default_factory=dict)
    """Best logit of each recording, by a head trained on the other recordings."""

    confused: Mapping[str, list[tuple[str, float]]] = field(default_factory=dict)
    """Words among the negatives that exceed the threshold, with the share of their clips."""
