"""Words that training must not hear, so that what was trained can be held against them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from training.datasets import aligned_speech as running_speech
from training.datasets.clips import Clip


class LeftOut:
    """Tell the words that training must not hear, however they are spelled.

    Parameters
    ----------
    words : tuple of str
        Left out with their plurals, possessives, pasts and present participles, and with what
        sounds the same.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        alike = {word.lower() for word in words}
        for group in ({word, *same} for word, same in running_speech.HOMOPHONES.items()):
            alike |= group if alike & group else set()
        self._forms = re.compile("|".join(map(_forms, sorted(alike)))) if alike else None

    def __contains__(self, word: str) -> bool:
        return bool(self._forms and self._forms.fullmatch(word.lower()))

    def of(self, words: Iterable[str]) -> frozenset[str]:
        """Return those of `words` that are left out."""
        return frozenset(word for word in set(words) if word in self)

    def without(self, clips: Mapping[str, list[Clip]]) -> dict[str, list[Clip]]:
        """Return the clips of all other words."""
        return {word: found for word, found in clips.items() if word not in self}


def _forms(word: str) -> str:
    """Return a pattern of a word and of its regular inflections, a few impossible ones too."""
    last = re.escape(word[-1])
    stem = re.escape(word.removesuffix("e"))
    return f"{re.escape(word)}(?:'?s|s'|es|d|(?:{last})?(?:ed|ing))?|{stem}(?:ed|ing)"
