"""What large trained networks say of the clips of a cache: soft labels to train small ones on.

Knowledge distillation (Hinton et al. 2015) in the form that works best for a fixed student
(Beyer et al. 2022): the teacher hears the very clip, noise and shift included, that the student
is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kws.errors import ConfigError, KwsError
from kws.files import sha256, write_atomically
from kws.inference.interpreter import OpenModel, open_model
from kws.inference.select import open_form
from kws.manifest import ModelManifest
from training.batches.clip_cache import (
    SAMPLES,
    ClipCache,
    check_positive,
    fill_shards,
    save_array,
)
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder

FloatArray = NDArray[np.float32]


class Listening(Protocol):
    """Whoever says something of clips."""

    def hear(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return what it says of clips ``(n, n_samples)``, one row a clip."""


class Teacher:
    """A trained run that says what it hears; float, on one thread.

    Parameters
    ----------
    content : bytes
        Its network as a float .tflite file.
    recipe : Recipe
        Its recipe: the front end counts.
    """

    def __init__(self, content: bytes, recipe: Recipe) -> None:
        self._features = FeatureMaker(recipe.frontend)
        self._n_frames = recipe.model.window_frames
        self._model: OpenModel = open_model(content, where=recipe.name)
        self._input = self._model.memory(self._model.inputs[0])
        self._output = self._model.memory(self._model.outputs[0])

    def hear(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return what it says of clips ``(n, n_samples)``: float32 ``(n, n_labels)``.

        Of a network that ends in an embedding: ``(n, n_steps, size)``.
        """
        windows = self._features.windows(samples, n_frames=self._n_frames)
        heard = np.empty((len(windows), *self._output.shape[1:]), np.float32)
        for index, window in enumerate(windows):
            self._input[0] = window
            self._model.interpreter.invoke()
            heard[index] = self._output[0]
        return heard


class FinishedTeacher:
    """A finished model that says what it hears: its window form, int8 as it runs anywhere.

    Parameters
    ----------
    manifest : ModelManifest
        The model.
    """

    def __init__(self, manifest: ModelManifest) -> None:
        # The model normalises for itself.
        self._features = FeatureMaker(replace(manifest.frontend, mean=0.0, std=1.0))
        self._model = open_form(
            manifest, hop_ms=None, mode="window", runtime=None, kernels="default", n_threads=1
        )

    def hear(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return its posteriors of clips ``(n, n_samples)``: float32 ``(n, n_labels)``."""
        windows = self._features.windows(samples, n_frames=self._model.window_frames)
        return np.stack([self._model.predict(window) for window in windows])


def teach_by_model(
    cache: ClipCache, manifest: ModelManifest, *, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write what a finished model says of every clip, under its name; see `teach`.

    Raises
    ------
    KwsError
        If it has other labels than the cache, or if other weights have taught under its name.
    """
    check_positive("--processes", n_processes)
    if Path(manifest.name).name != manifest.name:
        raise KwsError(
            f"{manifest.path}: expected a name that a file can have, got {manifest.name}"
        )
    _check_labels(cache, manifest.labels, where=str(manifest.path))
    # Before anything is written: a file that is not the manifest's teaches nobody.
    manifest.read_form(manifest.window)
    _check_weights(cache, manifest.path, manifest.window.sha256, manifest.name)
    make = partial(FinishedTeacher, manifest)
    yield from _listen(cache, make, kind=f"teacher-{manifest.name}", n_processes=n_processes)


def teach(
    cache: ClipCache, run: RunFolder, *, name: str, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write what `run` says of every clip; yield (shards done, shards in all).

    Shards that `name` has taught stay, so that the same call goes on after an interruption.
    ``teacher-NAME.json`` beside them holds whose weights have taught them.

    Raises
    ------
    KwsError
        If the run has no weights, or other labels than the cache, or if other weights have taught
        under this name.
    """
    from training.architectures.recipe_model import build_model
    from training.tflite.convert import convert_float

    check_positive("--processes", n_processes)
    recipe = run.read_recipe()
    if not run.best.is_file():
        raise KwsError(f"{run.path}: no {run.best.name}; train at least one epoch first")
    _check_labels(cache, recipe.data.labels, where=str(run.path))
    _check_weights(cache, run.path, sha256(run.best.read_bytes()), name)
    model = build_model(recipe)
    model.load_weights(run.best)
    content = convert_float(model)
    yield from listen(cache, content, recipe, kind=f"teacher-{name}", n_processes=n_processes)


def listen(
    cache: ClipCache, content: bytes, recipe: Recipe, *, kind: str, n_processes: int
) -> Iterator[tuple[int, int]]:
    """Write what a float .tflite file says of every clip; yield (shards done, shards in all).

    Shards of this `kind` that are there stay.
    """
    make = partial(Teacher, content, recipe)
    yield from _listen(cache, make, kind=kind, n_processes=n_processes)


def _listen(
    cache: ClipCache, make: Callable[[], Listening], *, kind: str, n_processes: int
) -> Iterator[tuple[int, int]]:
    yield from fill_shards(
        cache, kind, _teach_shard, start=_open_teacher, arguments=(make,), n_processes=n_processes
    )


def _check_labels(cache: ClipCache, labels: tuple[str, ...], *, where: str) -> None:
    if labels != cache.recipe.data.labels:
        raise KwsError(
            f"{where}: expected the labels of the cache, {', '.join(cache.recipe.data.labels)}, "
            f"got {', '.join(labels)}"
        )


def _check_weights(cache: ClipCache, teacher: Path, weights: str, name: str) -> None:
    """Refuse other weights than those that teach under `name`; write down the first ones."""
    record = cache.path / f"teacher-{name}.json"
    # A cache that was taught before there was a record takes the run that comes now for its own.
    if not record.is_file():
        text = json.dumps({"run": str(teacher), "weights_sha256": weights}, indent=2)
        write_atomically(record, text)
        return
    there = json.loads(record.read_text(encoding="utf-8"))
    if there["weights_sha256"] != weights:
        raise ConfigError(
            f"{teacher}: expected the weights of {there['run']} that teach {cache.path} as "
            f"{name!r}, got others; give the run's folder, or the finished model, another name, or "
            f"remove {cache.path}/*teacher-{name}.*"
        )


_teacher: Listening | None = None


def _open_teacher(make: Callable[[], Listening]) -> None:
    global _teacher
    threadpool_limits(1)
    _teacher = make()


def _teach_shard(cache: ClipCache, shard: int, kind: str) -> None:
    assert _teacher is not None
    samples = np.load(cache.file(shard, SAMPLES), mmap_mode="r")
    parts = [_teacher.hear(samples[n : n + 256]) for n in range(0, len(samples), 256)]
    save_array(cache.file(shard, kind), np.concatenate(parts).astype(np.float16))


def teacher_name(run: Path) -> str:
    """Return the name under which a run teaches: that of its folder."""
    return run.resolve().name
