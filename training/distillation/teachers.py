"""Teacher models, and their predictions for every clip of a cache; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kws.inference.interpreter import open_model
from kws.inference.select import open_form
from kws.manifest import ModelManifest
from training.batches.cached_batches import in_other_fold
from training.batches.clip_cache import (
    SAMPLES,
    SOURCES,
    ClipCache,
    embedding_kind,
    fill_shards,
    save_array,
)
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe
from training.config.sections import CacheConfig

FloatArray = NDArray[np.float32]
CLIPS_AT_ONCE = 256


class FloatTeacher:
    """A trained network, `content` of a float .tflite file, on one thread."""

    def __init__(self, content: bytes, recipe: Recipe) -> None:
        self.config = recipe.cache
        self.kind = embedding_kind(recipe.cache.inputs) if recipe.cache.inputs else SAMPLES
        self._features = FeatureMaker(recipe.frontend)
        self._n_frames = recipe.model.window_frames
        self._model = open_model(content, where=recipe.name)
        self._input = self._model.memory(self._model.inputs[0])
        self._output = self._model.memory(self._model.outputs[0])

    def predict(self, rows: NDArray[Any]) -> FloatArray:
        """Return posteriors ``(n, n_labels)``, or embeddings ``(n, n_steps, size)``.

        `rows` are of the teacher's `kind`: samples, or embeddings for a head on them.
        """
        windows = rows
        if self.kind == SAMPLES:
            windows = self._features.windows(rows, n_frames=self._n_frames)
        predictions = np.empty((len(windows), *self._output.shape[1:]), np.float32)
        for index, window in enumerate(windows):
            self._input[0] = window
            self._model.interpreter.invoke()
            predictions[index] = self._output[0]
        return predictions


class FinishedTeacher:
    """A finished int8 model, window by window as the runtime runs it."""

    kind, config = SAMPLES, CacheConfig()

    def __init__(self, manifest: ModelManifest) -> None:
        # The model contains its normalisation.
        self._features = FeatureMaker(replace(manifest.frontend, mean=0.0, std=1.0))
        self._model = open_form(
            manifest, hop_ms=None, mode="window", runtime=None, kernels="default", n_threads=1
        )

    def predict(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return posteriors ``(n, n_labels)``."""
        windows = self._features.windows(samples, n_frames=self._model.window_frames)
        return np.stack([self._model.predict(window) for window in windows])


TeacherModel = Union[FloatTeacher, FinishedTeacher]


def write_predictions(
    cache: ClipCache, make_teacher: Callable[[], TeacherModel], *, kind: str, n_processes: int
) -> Iterator[tuple[int, int]]:
    """Write a teacher's predictions for every clip as float16; yield (shards done, all shards).

    Existing shards ``NNNNN.KIND.npy`` stay, so the same call continues after an interruption.
    Each process calls `make_teacher` once; it must be picklable.
    """
    yield from fill_shards(
        cache,
        kind,
        _predict_shard,
        start=_open_teacher,
        arguments=(make_teacher,),
        n_processes=n_processes,
    )


_teacher: TeacherModel | None = None


def _open_teacher(make_teacher: Callable[[], TeacherModel]) -> None:
    global _teacher
    threadpool_limits(1)
    _teacher = make_teacher()


def _predict_shard(cache: ClipCache, shard: int, kind: str) -> None:
    assert _teacher is not None
    rows = np.load(cache.file(shard, _teacher.kind), mmap_mode="r")
    asked = np.arange(len(rows))
    if _teacher.config.folds > 1:
        # It may have memorised the clips that it was trained on: what it says of them is no label.
        sources = np.load(cache.file(shard, SOURCES))
        asked = np.flatnonzero(~in_other_fold(sources, _teacher.config))
    parts = [
        _teacher.predict(rows[asked[start : start + CLIPS_AT_ONCE]])
        for start in range(0, len(asked), CLIPS_AT_ONCE)
    ]
    found = np.concatenate(parts) if parts else _teacher.predict(rows[:0])
    predictions = np.full((len(rows), *found.shape[1:]), np.nan, np.float16)
    predictions[asked] = found
    save_array(cache.file(shard, kind), predictions)
