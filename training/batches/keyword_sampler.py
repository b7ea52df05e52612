"""Augmented clips for a keyword model: keywords, other words, running speech and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE, UNKNOWN
from training.batches import augmentation
from training.batches.training_sources import TrainingSources
from training.config.augmentation_sections import AugmentationConfig
from training.config.recipe import Recipe
from training.datasets import noise, synthetic_noise
from training.datasets.aligned_speech import near_words
from training.datasets.clips import Clip, SampleCache, fit_length, to_int16

FloatArray = NDArray[np.float32]


class KeywordSampler:
    """Draws augmented one-second clips, each label as often as the recipe says."""

    def __init__(self, recipe: Recipe, sources: TrainingSources) -> None:
        self._config = recipe.data
        self._augmentation = recipe.augmentation
        self._sources = sources
        self._cache = SampleCache()
        self._n_samples = recipe.clip_rate
        self._batch_size = recipe.fit.batch_size
        # A word with synthesised clips alone is an unknown word too.
        spoken = set(sources.by_word) | (
            set(sources.synthetic) if self._config.synthetic_share else set()
        )
        self._unknown_words = sorted(spoken - set(self._config.keywords))
        self._cut_words = sorted(sources.cut_words)
        self._near_words = near_words(self._cut_words, self._config.keywords)
        # The square root is a compromise between drawing by word and by clip.
        counts = np.sqrt([len(sources.cut_words[word]) for word in self._cut_words])
        self._cut_weights = counts / counts.sum() if len(counts) else counts
        can_draw_unknown = self._unknown_words or self._cut_words or sources.windows.spans
        unknown = self._config.unknown_weight if can_draw_unknown else 0.0
        silence = self._config.silence_weight if sources.noise.recordings else 0.0
        weights = np.array([1.0] * len(self._config.keywords) + [unknown, silence])
        self._weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int16], int]:
        """Return samples ``(clip_rate,)``, one second, and the index of their label."""
        return self.draw_with_clip(rng)[:2]

    def draw_with_clip(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.int16], int, Clip | None]:
        """Return what `draw` returns, and the clip that was augmented; noise has none."""
        index = int(rng.choice(len(self._weights), p=self._weights))
        label = self._config.labels[index]
        if label == SILENCE:
            return self._silence(rng), index, None
        # A share of 0 draws no number, so that older recipes draw the same clips as before.
        half, babble = self._config.half_word_share, self._config.babble_unknown_share
        if label == UNKNOWN and half and rng.random() < half:
            return self._half_word(rng), index, None
        if label == UNKNOWN and babble and rng.random() < babble:
            voices = noise.babble(rng, self._n_samples, self._voice(rng))
            return self._quieter(voices, rng), index, None
        clip = self._unknown(rng) if label == UNKNOWN else self._keyword(label, rng)
        return self._changed(clip, rng), index, clip

    def _changed(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int16]:
        """Return a clip in its place in the window, augmented."""
        # Random cuts of speech are drawn once: caching them would only push words out.
        samples = clip.read() if clip.label == UNKNOWN else self._cache.read(clip)
        config = self._augmentation
        if config.light_share and rng.random() < config.light_share:
            config = config.light
        # Digital silence around a word would mark it as cut: such a clip always gets noise.
        is_cut = len(samples) < 3 * self._n_samples // 4 and clip.n_samples is not None
        noisy = is_cut or rng.random() < config.noise_probability
        return to_int16(self._augment(self._centred(samples, rng), config, rng, noisy=noisy))

    def draw_batch(
        self, epoch: int, step: int, rng: np.random.Generator
    ) -> list[tuple[NDArray[np.int16], int]]:
        """Return the clips of a batch with the indices of their labels."""
        return [self.draw(rng) for _ in range(self._batch_size)]

    def _pick(self, clips: list[Clip], rng: np.random.Generator) -> Clip:
        return clips[rng.integers(len(clips))]

    def _keyword(self, word: str, rng: np.random.Generator) -> Clip:
        """Return a recording of a keyword, one cut from running speech, or a synthesised one."""
        clips = self._sources.by_word[word]
        cuts = self._sources.cut_keywords.get(word, [])
        weight = self._config.cut_keyword_weight * len(cuts)
        if weight and rng.random() < weight / (weight + len(clips)):
            return self._pick(cuts, rng)
        return self._spoken(word, rng)

    def _spoken(self, word: str, rng: np.random.Generator) -> Clip:
        """Return a recording of a word by itself, or a synthesised one."""
        synthetic = self._sources.synthetic.get(word)
        recorded = word in self._sources.by_word
        if synthetic and (not recorded or rng.random() < self._config.synthetic_share):
            return self._pick(synthetic, rng)
        return self._pick(self._sources.by_word[word], rng)

    def _half_word(self, rng: np.random.Generator) -> NDArray[np.int16]:
        """Return half of a keyword in noise, split where half of its energy has passed."""
        word = self._config.keywords[rng.integers(len(self._config.keywords))]
        samples = self._cache.read(self._spoken(word, rng))
        half = augmentation.loud_half(samples, second=rng.random() < 0.5)
        # Always with noise: digital silence would mark the word as cut.
        return to_int16(
            self._augment(self._centred(half, rng), self._augmentation, rng, noisy=True)
        )

    def _unknown(self, rng: np.random.Generator) -> Clip:
        """Return another word, drawn evenly by word, or a piece of running speech."""
        # Scaled so that the shares of a recipe are those of all unknown clips.
        share = rng.random() * (1 - self._config.half_word_share)
        if self._sources.hard_windows and share < self._config.hard_negative_share:
            return self._pick(self._sources.hard_windows, rng)
        share -= self._config.hard_negative_share
        only_windows = not (self._cut_words or self._unknown_words)
        if self._sources.windows.spans and (
            only_windows or share < self._config.speech_window_share
        ):
            return self._sources.windows.draw(rng, self._n_samples)
        cut = self._config.speech_window_share + self._config.cut_word_share
        if self._cut_words and (share < cut or not self._unknown_words):
            return self._pick(self._sources.cut_words[self._cut_word(rng)], rng)
        return self._spoken(self._unknown_words[rng.integers(len(self._unknown_words))], rng)

    def _cut_word(self, rng: np.random.Generator) -> str:
        """Return a word of running speech, a share of them spelled like a keyword."""
        near = self._config.near_word_share
        if near and self._near_words and rng.random() < near:
            return self._near_words[rng.integers(len(self._near_words))]
        return self._cut_words[rng.choice(len(self._cut_words), p=self._cut_weights)]

    def _centred(self, samples: NDArray[np.int16], rng: np.random.Generator) -> FloatArray:
        """Return one window of audio with a short cut at a random place in it."""
        missing = self._n_samples - len(samples)
        if missing > self._n_samples // 4:
            before = int(rng.integers(missing // 4, missing - missing // 4 + 1))
            samples = np.pad(samples, (before, missing - before))
        return fit_length(samples, self._n_samples).astype(np.float32)

    def _silence(self, rng: np.random.Generator) -> NDArray[np.int16]:
        """Return noise at a drawn volume, one in twenty digital silence."""
        noise_cut = self._noise(rng) if self._config.silence_of_all_noise else None
        if noise_cut is None:
            noise_cut = self._sources.noise.cut(rng, self._n_samples)
        return self._quieter(noise_cut, rng)

    def _quieter(self, samples: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        """Return the samples at a drawn volume, one in twenty silent."""
        volume = 0.0 if rng.random() < 0.05 else rng.random() ** 2
        return to_int16(samples.astype(np.float32) * np.float32(volume))

    def _voice(self, rng: np.random.Generator) -> Callable[[], NDArray[np.int16]]:
        """Return what draws a second of one person talking."""

        def draw() -> NDArray[np.int16]:
            clip = self._sources.windows.draw(rng, self._n_samples)
            return fit_length(clip.read(), self._n_samples)

        return draw

    def _background(self, rng: np.random.Generator) -> NDArray[np.int16] | None:
        """Return a second of noise, recorded or synthetic, or of other people talking."""
        config = self._config
        if self._sources.windows.spans:
            share = rng.random()
            if share < config.speech_background_share:
                return self._voice(rng)()
            if share - config.speech_background_share < config.babble_share:
                return noise.babble(rng, self._n_samples, self._voice(rng))
        return self._noise(rng)

    def _noise(self, rng: np.random.Generator) -> NDArray[np.int16] | None:
        """Return a second of noise without voices; None where there are no recordings."""
        config = self._config
        others = 1.0
        if self._sources.windows.spans:
            others -= config.speech_background_share + config.babble_share
        share = rng.random() * others
        if share < config.coloured_noise_share:
            return synthetic_noise.coloured(rng, self._n_samples)
        if share - config.coloured_noise_share < config.synthetic_noise_share:
            return synthetic_noise.synthetic(rng, self._n_samples)
        if not self._sources.noise.recordings:
            return None
        change = config.noise_change_probability
        if change and rng.random() < change:
            return self._sources.noise.cut_changed(rng, self._n_samples)
        return self._sources.noise.cut(rng, self._n_samples)

    def _augment(
        self,
        samples: FloatArray,
        config: AugmentationConfig,
        rng: np.random.Generator,
        *,
        noisy: bool,
    ) -> FloatArray:
        return augmentation.change_clip(
            samples,
            config,
            rng,
            sample_rate=self._n_samples,
            rooms=self._sources.rooms,
            background=(lambda: self._background(rng)) if noisy else None,
        )
