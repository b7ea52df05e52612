"""The section of a recipe about many words: which of them are classes, how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import ConfigError


@dataclass(frozen=True)
class WordsConfig:
    """For recipes whose ``source.kind`` is ``words``, which tell many words from each other.

    Every folder of ``data.clips`` is a class, and every word of ``data.speech`` that is frequent
    enough there.
    """

    left_out: tuple[str, ...] = ()
    """Words that training must not hear at all: not by themselves, not in running speech, not
    synthesised, nor their inflections or what sounds the same."""

    least_cuts: int = 10
    """A word of running speech that so many speakers say so often is a class. Fewer make more
    classes that are learned by heart rather than understood."""

    least_speakers: int = 3

    least_ms: int = 200
    """Shortest word to cut from running speech: word times are good to 20 to 50 ms."""

    temper: float = 0.5
    """Words, and within a word its clips and its cuts, are drawn by their number to this power:
    0 draws all alike, 1 by number."""

    unknown_share: float = 0.05
    """Part of the clips that are random seconds of running speech."""

    silence_share: float = 0.03
    """Part of the clips that hold no speech."""

    def __post_init__(self) -> None:
        if not all(self.left_out):
            raise ConfigError(f"words.left_out must be words, got {self.left_out}")
        for name in ("least_cuts", "least_speakers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"words.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.least_ms < 1_000:
            raise ConfigError(f"words.least_ms must lie in 1..999, got {self.least_ms}")
        if not 0 <= self.temper <= 1:
            raise ConfigError(f"words.temper must lie in 0..1, got {self.temper:g}")
        shares = (self.unknown_share, self.silence_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ConfigError(
                "words.unknown_share and words.silence_share must be at least 0 and leave clips "
                f"of words, got {self.unknown_share:g} and {self.silence_share:g}"
            )
