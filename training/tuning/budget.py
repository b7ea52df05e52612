"""The false-alarm budget: for each set of audio, how many alarms are allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kws.errors import ConfigError


@dataclass(frozen=True)
class Budget:
    """How many false alarms one set of audio may have."""

    limit: float
    """Per hour, or of the other words in it: a share, above 0 and below 1."""

    is_share: bool = False

    def __post_init__(self) -> None:
        most = 1.0 if self.is_share else math.inf
        if not 0 < self.limit < most:
            expected = "a share above 0 and below 100 %" if self.is_share else "a rate above 0"
            raise ConfigError(f"budget: expected {expected}, got {self}")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget of a text such as ``3`` (per hour) or ``5%`` (of the other words)."""
        is_share = text.endswith("%")
        try:
            number = float(text.rstrip("%"))
        except ValueError as error:
            raise ConfigError(
                f"budget: expected a rate per hour such as 3, or a share such as 5%, got {text!r}"
            ) from error
        return cls(number / 100 if is_share else number, is_share=is_share)

    def __str__(self) -> str:
        return f"{100 * self.limit:g}%" if self.is_share else f"{self.limit:g}"


# What a home may have: see docs/evaluation.md.
DEFAULT = {
    "read-speech": Budget(1.0),
    "noise-alone": Budget(3.0),
    "other-words": Budget(0.03, is_share=True),
    "digits": Budget(0.05, is_share=True),
}


def parse_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Return texts such as ``digits=5%`` as a table.

    Raises
    ------
    ConfigError
        If one has no name or no value.
    """
    table = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not (name and value):
            raise ConfigError(f"{option}: expected NAME=VALUE, got {pair!r}")
        table[name] = value
    return table


def parse_weights(option: str, pairs: Iterable[str]) -> Mapping[str, float]:
    """Return texts such as ``rooms=2`` as weights, 0 or above."""
    weights = {}
    for name, text in parse_pairs(option, pairs).items():
        try:
            weights[name] = float(text)
        except ValueError as error:
            raise ConfigError(f"{option} {name}: expected a number, got {text!r}") from error
        if not 0 <= weights[name] < math.inf:
            raise ConfigError(f"{option} {name}: expected 0 or above, got {text}")
    return weights
