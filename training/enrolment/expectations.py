"""What to expect of a taught word: misses, false accepts, words it confuses, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.enrolment.config import Taught
from training.evaluation.metrics import share_interval

ENOUGH = 8
"""Recordings from which on leaving one out says something."""


@dataclass(frozen=True)
class WordVerdict:
    """What is known of one word."""

    word: str
    n_recordings: int
    n_missed: int
    """Recordings that a head taught by the others did not hear."""

    n_tried: int
    per_hour: float
    interval: tuple[float, float]
    """Of false accepts an hour, 95 %."""

    confused: tuple[tuple[str, float], ...]
    advice: str
    n_voices: int = 0
    """Synthesised voices that taught it beside the recordings."""

    @property
    def is_good(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.advice

    def lines(self) -> list[str]:
        """Return it as text."""
        low, high = self.interval
        lines = []
        if self.n_tried:
            least, most = share_interval(self.n_missed, self.n_tried)
            lines.append(
                f"{self.word}: {self.n_missed} of {self.n_tried} recordings missed when left out "
                f"({100 * least:.0f} to {100 * most:.0f} % with 95 %)"
            )
        else:
            lines.append(f"{self.word}: one recording; nothing to leave out")
        if self.n_voices:
            lines.append(f"  {self.n_voices} synthesised voices that sound like them teach it too")
        lines.append(
            f"  about {self.per_hour:.1f} false accepts an hour of read speech "
            f"({low:.1f} to {high:.1f})"
        )
        if self.confused:
            mixed = ", ".join(f"{word} ({100 * share:.0f} %)" for word, share in self.confused)
            lines.append(f"  mistaken for it when said alone: {mixed}")
        lines.append(f"  {self.advice or 'good: try it with kws-listen'}")
        return lines

    def table(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "recordings": self.n_recordings,
            "voices": self.n_voices,
            "left_out_missed": self.n_missed,
            "left_out_tried": self.n_tried,
            "false_accepts_per_hour": round(self.per_hour, 3),
            "false_accepts_interval": [round(rate, 3) for rate in self.interval],
            "confused": {word: round(share, 3) for word, share in self.confused},
            "advice": self.advice,
        }


def verdicts(taught: Taught) -> Mapping[str, WordVerdict]:
    """Return what is known of each word."""
    return {word: _verdict(taught, word) for word in taught.head.words}


def _verdict(taught: Taught, word: str) -> WordVerdict:
    tail, threshold = taught.tails[word], taught.thresholds[word]
    tried = taught.left_out[word]
    missed = sum(logit < 0 for logit in tried)
    n = len(taught.recordings[word])
    return WordVerdict(
        word=word,
        n_recordings=n,
        n_missed=missed,
        n_tried=len(tried),
        per_hour=tail.per_hour(threshold),
        interval=tail.interval(threshold),
        confused=tuple(taught.confused[word]),
        n_voices=taught.voices.get(word, 0),
        advice=_advice(n, missed, len(tried), taught.confused[word]),
    )


def _advice(n: int, missed: int, tried: int, confused: list[tuple[str, float]]) -> str:
    if n < 3:
        return "record 5 more: with fewer than 3 there is little to learn from"
    if tried and missed > 0.1 * tried:
        return "record 5 more, from where and how you will say it"
    if confused and confused[0][1] > 0.3:
        return (
            f"often mistaken: {confused[0][0]} is too near; a longer word or phrase would do better"
        )
    if n < ENOUGH:
        return "record 5 more for voices and rooms that it has not heard"
    return ""
