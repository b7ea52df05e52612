"""Running speech with word times: words to cut out, stretches without the keywords."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from kws.config import UNKNOWN
from kws.errors import ConfigError
from training.datasets.clips import SAMPLE_RATE, Clip

# Homophones of a keyword are neither keyword nor unknown, and two of them share one class.
# "station" does not sound like "on".
MAX_EXTRA_LETTERS = 4
HOMOPHONES = {
    "no": ("know",),
    "right": ("write", "wright", "rite"),
    "one": ("won",),
    "two": ("to", "too"),
    "four": ("for", "fore"),
    "eight": ("ate",),
    "by": ("buy", "bye"),
    "here": ("hear",),
    "hour": ("our",),
    "i": ("eye", "aye"),
    "its": ("it's",),
    "knew": ("new",),
    "made": ("maid",),
    "passed": ("past",),
    "see": ("sea",),
    "there": ("their", "they're"),
    "through": ("threw",),
    "whole": ("hole",),
    "would": ("wood",),
}
# Alignments are good to 20-50 ms; cuts leave that much on either side.
MARGIN_SAMPLES = 800
WORD_COLUMNS = ("utterance", "word", "start_sample", "n_samples")
HARD_COLUMNS = ("file", "start_sample", "keyword", "posterior")


@dataclass(frozen=True)
class Word:
    """A word of an utterance, as forced alignment found it."""

    text: str
    start: int
    n_samples: int

    @property
    def end(self) -> int:
        """First sample after the word."""
        return self.start + self.n_samples


@dataclass(frozen=True)
class Utterance:
    """One recording and the words in it, in order."""

    path: Path
    words: tuple[Word, ...]
    n_samples: int


def read_word_times(table: Path) -> dict[str, list[Word]]:
    """Return the words of each utterance, by the name of its file without suffix.

    Raises
    ------
    ConfigError
        If there is no such table, or it has other columns.
    """
    if not table.is_file():
        raise ConfigError(f"{table}: expected a table of word times, but there is no such file")
    words: dict[str, list[Word]] = defaultdict(list)
    with open(table, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        if set(WORD_COLUMNS) - set(reader.fieldnames or ()):
            raise ConfigError(f"{table}: expected the columns {','.join(WORD_COLUMNS)}")
        for row in reader:
            word = Word(row["word"].lower(), int(row["start_sample"]), int(row["n_samples"]))
            words[row["utterance"]].append(word)
    return words


def read_utterances(root: Path, split: str) -> list[Utterance]:
    """Return the utterances of ``root/split`` with their words from ``root/split.words.csv``.

    Raises
    ------
    ConfigError
        If the folder or the table is missing.
    """
    table = root / f"{split}.words.csv"
    folder = root / split
    if not table.is_file() or not folder.is_dir():
        raise ConfigError(f"{root}: expected {split}/ and {split}.words.csv in it")
    words = read_word_times(table)
    return [
        Utterance(path, tuple(words.get(path.stem, ())), soundfile.info(str(path)).frames)
        for path in sorted(folder.glob("*.wav"))
    ]


def sounds_like(keywords: tuple[str, ...]) -> frozenset[str]:
    """Return the keywords and the words that sound the same."""
    same = [alike for keyword in keywords for alike in HOMOPHONES.get(keyword, ())]
    return frozenset((*keywords, *same))


def cut_words(
    utterances: list[Utterance],
    *,
    exclude: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
    min_samples: int = 3_200,
) -> dict[str, list[Clip]]:
    """Return clips of single words, by word, without very short ones.

    Words of `exclude` are left out; with `only`, all words but these.
    """
    cuts: dict[str, list[Clip]] = defaultdict(list)
    for utterance in utterances:
        for word in utterance.words:
            if word.text in exclude or (only is not None and word.text not in only):
                continue
            if not min_samples <= word.n_samples <= 16_000:
                continue
            cuts[word.text].append(Clip(utterance.path, word.text, word.start, word.n_samples))
    return dict(cuts)


def free_spans(utterance: Utterance, *, exclude: frozenset[str]) -> list[tuple[int, int]]:
    """Return the (start, end) stretches of a second or more without the words of `exclude`."""
    spans = []
    start = 0
    for word in utterance.words:
        if word.text in exclude:
            spans.append((start, word.start - MARGIN_SAMPLES))
            start = word.end + MARGIN_SAMPLES
    spans.append((start, utterance.n_samples))
    return [(start, end) for start, end in spans if end - start >= SAMPLE_RATE]


def read_hard_windows(table: Path, root: Path, *, n_samples: int = 16_000) -> list[Clip]:
    """Return the windows that `kws-train hard-negatives` found, as clips below `root`.

    Raises
    ------
    ConfigError
        If there is no such table.
    """
    if not table.is_file():
        raise ConfigError(f"{table}: expected a table made by kws-train hard-negatives")
    with open(table, newline="", encoding="utf-8") as handle:
        return [
            Clip(root / row["file"], UNKNOWN, int(row["start_sample"]), n_samples)
            for row in csv.DictReader(handle)
        ]


@dataclass(frozen=True)
class SpeechWindows:
    """Draws random one-second cuts of running speech without keywords."""

    spans: tuple[tuple[Path, int, int], ...]
    """File, first and last sample of each stretch to cut from."""

    @classmethod
    def from_utterances(
        cls, utterances: list[Utterance], *, exclude: frozenset[str]
    ) -> SpeechWindows:
        """Return all stretches without the words of `exclude`."""
        return cls(
            tuple(
                (utterance.path, start, end)
                for utterance in utterances
                for start, end in free_spans(utterance, exclude=exclude)
            )
        )

    def with_whole(self, recordings: Sequence[tuple[Path, int]]) -> SpeechWindows:
        """Return these stretches and whole further recordings, given with their lengths."""
        return SpeechWindows((*self.spans, *((path, 0, n) for path, n in recordings)))

    def draw(self, rng: np.random.Generator, n_samples: int = 16_000) -> Clip:
        """Return one cut; every stretch is drawn equally often, whatever its length."""
        path, start, end = self.spans[rng.integers(len(self.spans))]
        first = int(rng.integers(start, max(start, end - n_samples) + 1))
        return Clip(path, UNKNOWN, first, min(n_samples, end - first))


class ExcludedWords:
    """Recognises words that are kept out of training, so that they can be tested on.

    Parameters
    ----------
    words : tuple of str
        Excluded with their plurals, possessives, past forms and present participles, and with
        words that sound the same.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        alike = {word.lower() for word in words}
        for group in ({word, *same} for word, same in HOMOPHONES.items()):
            alike |= group if alike & group else set()
        self._forms = re.compile("|".join(map(_forms, sorted(alike)))) if alike else None

    def __contains__(self, word: str) -> bool:
        return bool(self._forms and self._forms.fullmatch(word.lower()))

    def among(self, words: Iterable[str]) -> frozenset[str]:
        """Return those of `words` that are excluded."""
        return frozenset(word for word in set(words) if word in self)

    def without(self, clips: Mapping[str, list[Clip]]) -> dict[str, list[Clip]]:
        """Return the clips of all other words."""
        return {word: found for word, found in clips.items() if word not in self}


def _forms(word: str) -> str:
    """Return a pattern of a word and of its regular inflections, a few impossible ones too."""
    last = re.escape(word[-1])
    stem = re.escape(word.removesuffix("e"))
    return f"{re.escape(word)}(?:'?s|s'|es|d|(?:{last})?(?:ed|ing))?|{stem}(?:ed|ing)"


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
