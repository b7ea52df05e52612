"""How words are taught, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kws.errors import ConfigError
from training.embedding import fit_head as heads
from training.embedding.head import Head
from training.enrolment.calibration import Tail
from training.enrolment.recordings import Recording


@dataclass(frozen=True)
class EnrolmentConfig:
    """How words are taught."""

    head: str = "logistic"
    """One of `heads.KINDS`."""

    copies: int = 60
    """Windows made of each recording."""

    per_hour: float = 0.5
    """False accepts an hour, of each word, that thresholds are set for."""

    seed: int = 1

    def __post_init__(self) -> None:
        if self.head not in heads.KINDS:
            raise ConfigError(
                f"--head: expected one of {', '.join(heads.KINDS)}, got {self.head!r}"
            )
        if self.copies < 1:
            raise ConfigError(f"--copies: expected at least 1, got {self.copies}")
        if not 0 < self.per_hour <= 100:
            raise ConfigError(f"--fa-per-hour: expected above 0, up to 100, got {self.per_hour}")


@dataclass(frozen=True)
class Taught:
    """A head for some words, and what is known of it."""

    head: Head
    """Calibrated: a logit of 0 is the threshold."""

    tails: Mapping[str, Tail]
    """Each word's scores on speech, between those of a head that learned from it and of one that
    did not, before calibration."""

    thresholds: Mapping[str, float]
    recordings: Mapping[str, list[Recording]]
    voices: Mapping[str, int] = field(default_factory=dict)
    """How many synthesised voices taught each word beside its recordings."""

    left_out: Mapping[str, list[float]] = field(default_factory=dict)
    """For each recording the logit that a head taught by the others gives it, at its best hop."""

    confused: Mapping[str, list[tuple[str, float]]] = field(default_factory=dict)
    """Words of the bank that go above the threshold, and the share of their clips that do."""
