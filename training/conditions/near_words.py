"""Words spelled like a keyword: the likeliest to be taken for one."""

from __future__ import annotations

from collections.abc import Iterable

from training.datasets.aligned_speech import ExcludedWords

MAX_EXTRA_LETTERS = 4


def near_words(words: Iterable[str], keywords: tuple[str, ...]) -> list[str]:
    """Return those of `words` that begin or end with a keyword, or differ from it in a letter.

    Keywords, words that sound the same and their inflections ("stopped") are not among them.
    """
    same = ExcludedWords(keywords)
    return sorted(
        word
        for word in set(words)
        if word not in same and any(_is_near(word, keyword) for keyword in keywords)
    )


def _is_near(word: str, keyword: str) -> bool:
    if len(word) > len(keyword) + MAX_EXTRA_LETTERS:
        # "station" does not sound like "on".
        return False
    if word.startswith(keyword) or word.endswith(keyword):
        return True
    if abs(len(word) - len(keyword)) > 1:
        return False
    head = next((i for i, (x, y) in enumerate(zip(word, keyword)) if x != y), None)
    if head is None:
        return True
    rest = word[head:], keyword[head:]
    # One letter replaced, too many, or missing.
    return rest[0][1:] == rest[1][1:] or rest[0][1:] == rest[1] or rest[0] == rest[1][1:]
