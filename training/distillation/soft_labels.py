"""Soft labels: the posteriors of a large network for the clips that a small one trains on.

Knowledge distillation (Hinton et al. 2015) in the form that works best for a fixed student
(Beyer et al. 2022): the teacher gets exactly the clip, noise and shift included, that the student
is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from kws.errors import ConfigError, KwsError
from kws.files import sha256, write_atomically
from kws.manifest import ModelManifest
from training.architectures.recipe_model import trained_model
from training.batches.clip_cache import SOURCES, ClipCache, embedding_kind
from training.config.run_folder import RunFolder
from training.distillation.teachers import FinishedTeacher, FloatTeacher, write_predictions
from training.tflite.convert import convert_float


def soft_labels_of_run(
    cache: ClipCache, run: RunFolder, *, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write the posteriors of a run for every clip; yield (shards done, all shards).

    A run that left a fold out (``cache.folds``) gives NaN for the clips it was trained on. They
    are named after the run's folder. ``teacher-NAME.json`` records whose weights made them.

    Raises
    ------
    KwsError
        If the run has no weights or other labels than the cache, or if other weights have made
        the soft labels of this name.
    """
    name, recipe = run.path.resolve().name, run.read_recipe()
    model = trained_model(run)
    _check_labels(cache, recipe.data.labels, where=str(run.path))
    if recipe.cache.inputs:
        cache.require(embedding_kind(recipe.cache.inputs))
    if recipe.cache.folds > 1:
        cache.require(SOURCES)
    _check_weights(cache, run.path, sha256(run.best.read_bytes()), name)
    make = partial(FloatTeacher, convert_float(model), recipe)
    yield from write_predictions(cache, make, kind=f"teacher-{name}", n_processes=n_processes)


def soft_labels_of_model(
    cache: ClipCache, manifest: ModelManifest, *, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write the posteriors of a finished model, under its name; see `soft_labels_of_run`.

    Raises
    ------
    KwsError
        If it has other labels than the cache, or if other weights have made the soft labels of
        this name.
    """
    if Path(manifest.name).name != manifest.name:
        raise KwsError(f"{manifest.path}: expected a name without slashes, got {manifest.name}")
    _check_labels(cache, manifest.labels, where=str(manifest.path))
    # Checks the file against the manifest before anything is written.
    manifest.read_form(manifest.window)
    _check_weights(cache, manifest.path, manifest.window.sha256, manifest.name)
    make = partial(FinishedTeacher, manifest)
    kind = f"teacher-{manifest.name}"
    yield from write_predictions(cache, make, kind=kind, n_processes=n_processes)


def _check_labels(cache: ClipCache, labels: tuple[str, ...], *, where: str) -> None:
    if labels != cache.recipe.data.labels:
        raise KwsError(
            f"{where}: expected the labels of the cache, {', '.join(cache.recipe.data.labels)}, "
            f"got {', '.join(labels)}"
        )


def _check_weights(cache: ClipCache, teacher: Path, weights: str, name: str) -> None:
    """Record the weights behind the soft labels of a name; refuse other ones later."""
    record = cache.path / f"teacher-{name}.json"
    if not record.is_file():
        text = json.dumps({"run": str(teacher), "weights_sha256": weights}, indent=2)
        write_atomically(record, text)
        return
    recorded = json.loads(record.read_text(encoding="utf-8"))
    if recorded["weights_sha256"] != weights:
        raise ConfigError(
            f"{teacher}: expected the weights of {recorded['run']}, which made the soft labels "
            f"{name!r} of {cache.path}, got others; rename the run's folder or the finished "
            f"model, or remove {cache.path}/*teacher-{name}.*"
        )
