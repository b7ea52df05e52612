"""Augmented clips of a large vocabulary, drawn by word: training data for a word embedding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE, UNKNOWN
from training.batches.keyword_sampler import KeywordSampler
from training.batches.training_sources import TrainingSources, training_noise
from training.config.recipe import Recipe
from training.datasets.clips import Clip
from training.datasets.rooms import open_rooms
from training.datasets.vocabulary import Vocabulary


class WordSampler(KeywordSampler):
    """Draws augmented one-second clips, frequent words more often (``words.count_exponent``)."""

    def __init__(self, recipe: Recipe, data: Vocabulary) -> None:
        super().__init__(
            recipe,
            TrainingSources(
                by_word=dict(data.recorded),
                cut_words=dict(data.cuts),
                windows=data.windows,
                noise=training_noise(recipe.data),
                rooms=open_rooms(recipe.data),
                synthetic=dict(data.synthetic),
            ),
        )
        self._data, self._labels = data, data.labels
        self._exponent = recipe.words.count_exponent
        words = np.array(
            [
                (len(data.recorded.get(word, ())) + len(data.cuts.get(word, ()))) ** self._exponent
                for word in data.words
            ]
        )
        shares = {UNKNOWN: recipe.words.unknown_share, SILENCE: recipe.words.silence_share}
        shares = {label: share for label, share in shares.items() if label in data.labels}
        words *= (1 - sum(shares.values())) / words.sum()
        of_word = dict(zip(data.words, words))
        self._label_weights = np.array([{**of_word, **shares}[label] for label in data.labels])

    def draw_with_clip(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.int16], int, Clip | None]:
        """Return samples, the index of their label, and the clip that was augmented, if any."""
        index = int(rng.choice(len(self._labels), p=self._label_weights))
        label = self._labels[index]
        if label == SILENCE:
            return self._silence(rng), index, None
        unknown = label == UNKNOWN
        clip = self._data.windows.draw(rng, self._n_samples) if unknown else self._word(label, rng)
        return self._changed(clip, rng), index, clip

    def _word(self, word: str, rng: np.random.Generator) -> Clip:
        """Return a recording of a word, a cut from running speech, or a synthesised clip."""
        synthetic = self._data.synthetic.get(word)
        if synthetic and rng.random() < self._config.synthetic_share:
            return self._pick(synthetic, rng)
        kinds = [found[word] for found in (self._data.recorded, self._data.cuts) if word in found]
        counts = np.array([len(clips) for clips in kinds]) ** self._exponent
        return self._pick(kinds[rng.choice(len(kinds), p=counts / counts.sum())], rng)
