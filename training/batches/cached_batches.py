"""Batches from a cache of augmented clips, with soft labels and features of teachers."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE
from kws.errors import ConfigError
from training.batches import augmentation
from training.batches.clip_cache import SAMPLES, ClipCache, ShardRows, embedding_kind
from training.batches.feature_clips import FeatureClips
from training.batches.features import FeatureMaker
from training.config.data_sections import expand_path
from training.config.recipe import Recipe
from training.config.sections import CacheConfig
from training.datasets.clips import to_int16
from training.datasets.synthetic_noise import SYNTHETIC_RMS

FloatArray = NDArray[np.float32]
# Settings of [data] that a cache must share with the recipe that trains on it: the manifest of a
# run states the recipe's.
ORIGIN = ("clips", "more_clips", "speech", "speech_split", "environment", "held_out_noise")


def open_cache(recipe: Recipe) -> ClipCache:
    """Return the cache that the recipe trains on; several are joined into one."""
    more = [expand_path(name, where="cache.more_paths") for name in recipe.cache.more_paths]
    paths = [expand_path(recipe.cache.path, where="cache.path"), *more]
    caches = [ClipCache.open(path) for path in paths if path]
    return caches[0] if len(caches) == 1 else ClipCache.join(caches)


class CachedBatches:
    """Batches from a cache: each clip once a pass, every pass in another order.

    The clips of the cache are augmented already. What costs next to nothing is drawn again in
    each pass: gain, masks, mixup.
    """

    def __init__(self, recipe: Recipe, cache: ClipCache) -> None:
        for part in cache.parts or (cache,):
            _check_fits(recipe, part)
        self._recipe = recipe
        name = recipe.cache.inputs
        self._embeddings = ShardRows(cache, embedding_kind(name)) if name else None
        self._samples = ShardRows(cache, SAMPLES)
        self._labels = cache.read_labels()
        self._soft_labels = self._teachers(cache)
        name = recipe.cache.feature_teacher
        self._teacher_features = TeacherFeatures(cache, name) if name else None
        self._features = FeatureMaker(recipe.frontend)
        self._clips = _clips_to_train_on(recipe.cache, cache)
        self._feature_clips = FeatureClips(recipe) if recipe.cache.feature_clips else None
        silence = recipe.data.labels.index(SILENCE) if SILENCE in recipe.data.labels else -1
        self._silent = np.flatnonzero(self._labels == silence)
        self._pass = (-1, np.empty(0, np.intp))

    def _teachers(self, cache: ClipCache) -> list[ShardRows]:
        """Return the soft labels of each teacher; none without a weight."""
        if not self._recipe.cache.teacher_weight:
            return []
        names = self._recipe.cache.teachers or cache.teachers
        if not names:
            raise ConfigError(
                f"{cache.path}: cache.teacher_weight is above 0, but this cache has no soft "
                "labels; kws-train soft-labels CACHE RUN"
            )
        return [ShardRows(cache, f"teacher-{name}") for name in names]

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return normalised features, a network's input, and targets ``(batch, n_labels)``."""
        config = self._recipe.augmentation
        rng = np.random.default_rng((self._recipe.seed, epoch, step))
        chosen = self._chosen(epoch, step)
        features = self._inputs(chosen, rng)
        targets = self._targets(chosen)
        if self._feature_clips:
            labels = self._labels[chosen]
            self._feature_clips.replace(features, targets, labels, rng, noise=self._noise_frames)
        if features.ndim == 3:
            augmentation.mask_features(features, config, rng)
        if config.mixup_probability:
            features, targets = augmentation.mix_up(features, targets, config, rng)
        return features, targets

    def _inputs(self, chosen: NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        """Return normalised features, or embeddings as they are."""
        if self._embeddings:
            return self._embeddings.rows(chosen).astype(np.float32)
        samples = np.stack([self._with_gain(self._samples.row(int(n)), rng) for n in chosen])
        return self._features.windows(samples, n_frames=self._recipe.model.window_frames)

    def _targets(self, chosen: NDArray[np.intp]) -> FloatArray:
        """Return labels blended with soft labels, then the features to learn, if any."""
        data = self._recipe.data
        targets = np.eye(len(data.labels), dtype=np.float32)[self._labels[chosen]]
        if self._soft_labels:
            each = [rows.rows(chosen).astype(np.float32) for rows in self._soft_labels]
            soft = mean_of_known(np.stack(each), targets)
            if not data.classes:
                soft = without_false_keywords(soft, self._labels[chosen], len(data.keywords))
            weight = self._recipe.cache.teacher_weight
            targets = np.float32(1 - weight) * targets + np.float32(weight) * soft
        if self._teacher_features:
            targets = np.concatenate([targets, self._teacher_features.of(chosen)], axis=1)
        return targets

    def _with_gain(self, samples: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        config = self._recipe.augmentation
        if rng.random() >= config.gain_probability:
            return samples
        # The cached clip has a drawn gain already; half of the range again varies each pass.
        gain = 10.0 ** (rng.uniform(*config.gain_db_range) / 40.0)
        return to_int16(samples.astype(np.float32) * np.float32(gain))

    def _noise_frames(self, rng: np.random.Generator) -> FloatArray | None:
        """Return the features of a clip of noise, not normalised; None for digital silence."""
        if not len(self._silent):
            return None
        samples = self._samples.row(int(rng.choice(self._silent))).astype(np.float32)
        rms = float(np.sqrt(np.mean(samples**2)))
        if rms < 1.0:
            return None
        # At one level, because faint noise has values at the log floor.
        config = self._recipe.frontend
        frames = self._features.frames(to_int16(samples * np.float32(SYNTHETIC_RMS / rms)))
        return (frames * np.float32(config.std) + np.float32(config.mean))[
            : self._recipe.model.window_frames
        ]

    def _chosen(self, epoch: int, step: int) -> NDArray[np.intp]:
        """Return the clips of a batch; one at the end of a pass continues in the next."""
        size = self._recipe.fit.batch_size
        first = (epoch * self._recipe.fit.steps_per_epoch + step) * size
        n_clips = len(self._clips)
        places = np.arange(first, first + size)
        return np.array([self._order(int(place) // n_clips)[place % n_clips] for place in places])

    def _order(self, number: int) -> NDArray[np.intp]:
        if self._pass[0] != number:
            rng = np.random.default_rng((self._recipe.seed, 77, number))
            self._pass = (number, rng.permutation(self._clips))
        return self._pass[1]


class TeacherFeatures:
    """The features of a published embedding for the clips of a cache, mean 0 and deviation 1.

    Raises
    ------
    ConfigError
        If the cache does not have them.
    """

    def __init__(self, cache: ClipCache, name: str) -> None:
        path = cache.path / f"embedding-{name}.json"
        if not path.is_file():
            raise ConfigError(f"{path}: not there; kws-train soft-labels {cache.path} {name}")
        table = json.loads(path.read_text(encoding="utf-8"))
        self.mean, self.std = (np.array(table[key], np.float32) for key in ("mean", "std"))
        self._rows = ShardRows(cache, embedding_kind(name))

    def of(self, clips: NDArray[np.intp]) -> FloatArray:
        """Return ``(n, n_steps * size)`` of clips by their numbers in the cache."""
        features = self._rows.rows(clips).astype(np.float32)
        return ((features - self.mean) / self.std).reshape(len(features), -1)


def _clips_to_train_on(config: CacheConfig, cache: ClipCache) -> NDArray[np.intp]:
    """Return the numbers of the clips outside the fold that the run leaves out."""
    if config.folds == 1:
        return np.arange(cache.n_shards * cache.shard_clips)
    sources = cache.read_sources()
    return np.flatnonzero((sources < 0) | in_other_fold(sources, config))


def in_other_fold(sources: NDArray[np.int32], config: CacheConfig) -> NDArray[np.bool_]:
    """Return for each clip whether its speaker or recording is in a fold that the run trains on.

    A clip without a source, of noise made by code for example, is in none.
    """
    return (sources >= 0) & (sources % config.folds != config.fold)


def mean_of_known(each: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Return the mean of the teachers' posteriors ``(n_teachers, n, n_labels)`` without NaN.

    A teacher has NaN for a clip that it was trained on (``cache.folds``). Where no teacher is
    left, the row is that of `otherwise`.
    """
    known = ~np.isnan(each)
    total = np.where(known, each, 0).sum(axis=0)
    n_known = known.sum(axis=0)
    mean = total / np.maximum(n_known, 1)
    return np.where(n_known > 0, mean, otherwise).astype(np.float32)


def without_false_keywords(
    soft: FloatArray, labels: NDArray[np.intp], n_keywords: int
) -> FloatArray:
    """Return soft labels whose false keywords are given to the clip's own label.

    A hard negative is one because a network like the teacher takes it for a keyword: its soft
    label would teach that very mistake. The keywords are the first `n_keywords` of the labels.
    """
    corrected = soft.copy()
    rows = np.flatnonzero(labels >= n_keywords)
    corrected[rows, :n_keywords] = 0
    corrected[rows, labels[rows]] += soft[rows, :n_keywords].sum(axis=1)
    return corrected


def _check_fits(recipe: Recipe, cache: ClipCache) -> None:
    """Raise `ConfigError` unless the cache was drawn from the data that the recipe names."""
    drawn = cache.recipe
    if (drawn.source, drawn.words) != (recipe.source, recipe.words):
        raise ConfigError(
            f"{cache.path}: drawn with other settings in [source] or [words] than the recipe's; "
            "draw another cache"
        )
    pairs = {
        f"data.{name}": (getattr(drawn.data, name), getattr(recipe.data, name)) for name in ORIGIN
    }
    pairs["labels"] = (drawn.data.labels, recipe.data.labels)
    pairs["samples of a clip"] = (drawn.clip_samples, recipe.clip_samples)
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            raise ConfigError(
                f"{cache.path}: drawn with {name} = {theirs!r}, but the recipe says {ours!r}; "
                "draw another cache, or change the recipe with --set"
            )
