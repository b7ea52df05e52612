"""Clips of many words, drawn by word: what an embedding for words yet unknown learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.batches import augmentation
from training.batches.keyword_sampler import ClipDrawer, TrainingSources, training_noise
from training.config.recipe import Recipe
from training.config.sections import SILENCE, UNKNOWN
from training.datasets.clips import Clip
from training.datasets.vocabulary import WordData, open_words

# Kinds of source whose clips are drawn by label; of the others each epoch takes every clip once.
DRAWN = ("", "words")


def word_data(recipe: Recipe) -> WordData:
    """Return the words of the recipe's source, by side.

    Raises
    ------
    ConfigError
        If the source cannot be read or split.
    """
    return open_words(recipe.data, recipe.source, recipe.words)


class WordDrawer(ClipDrawer):
    """Draw augmented one-second clips, words by their tempered number.

    The `recipe` must be resolved: its labels are those of the `data`.
    """

    def __init__(self, recipe: Recipe, data: WordData) -> None:
        super().__init__(
            recipe,
            TrainingSources(
                by_word=dict(data.recorded),
                cut_words=dict(data.cuts),
                windows=data.windows,
                noise=training_noise(recipe.data),
                rooms=augmentation.read_rooms(recipe.data.path("rooms")),
                synthetic=dict(data.synthetic),
            ),
        )
        self._data, self._labels, self._temper = data, data.labels, recipe.words.temper
        words = np.array(
            [
                (len(data.recorded.get(word, ())) + len(data.cuts.get(word, ()))) ** self._temper
                for word in data.words
            ]
        )
        shares = {UNKNOWN: recipe.words.unknown_share, SILENCE: recipe.words.silence_share}
        shares = {label: share for label, share in shares.items() if label in data.labels}
        words *= (1 - sum(shares.values())) / words.sum()
        of_word = dict(zip(data.words, words))
        self._label_weights = np.array([{**of_word, **shares}[label] for label in data.labels])

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int16], int]:
        """Return samples ``(clip_rate,)``, one second, and the index of their label."""
        index = int(rng.choice(len(self._labels), p=self._label_weights))
        label = self._labels[index]
        if label == SILENCE:
            return self._silence(rng), index
        if label == UNKNOWN:
            return self._changed(self._data.windows.draw(rng, self._n_samples), rng), index
        return self._changed(self._word(label, rng), rng), index

    def _word(self, word: str, rng: np.random.Generator) -> Clip:
        """Return a recording of a word, a cut from running speech, or a synthesised one."""
        synthetic = self._data.synthetic.get(word)
        if synthetic and rng.random() < self._config.synthetic_share:
            return self._pick(synthetic, rng)
        kinds = [found[word] for found in (self._data.recorded, self._data.cuts) if word in found]
        counts = np.array([len(clips) for clips in kinds]) ** self._temper
        return self._pick(kinds[rng.choice(len(kinds), p=counts / counts.sum())], rng)


def open_drawer(recipe: Recipe) -> ClipDrawer:
    """Return what draws the clips of a recipe for keywords, or of one for many words.

    Raises
    ------
    ConfigError
        If a source is missing or does not hold what the recipe wants.
    """
    if recipe.source.kind == "words":
        return WordDrawer(recipe, word_data(recipe))
    return ClipDrawer(recipe, TrainingSources.open(recipe.data))
