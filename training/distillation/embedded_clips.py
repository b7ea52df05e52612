"""Clips as a published network embeds them: a whole cache, validation clips, a head's audio."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import write_atomically
from training.architectures.pretrained import published_network
from training.batches.cached_batches import open_cache
from training.batches.clip_cache import ClipCache, embedding_kind, save_array
from training.batches.task import Task
from training.config.embeddings import find
from training.config.recipe import Recipe
from training.datasets.clips import fit_length, key_of
from training.distillation.teachers import CLIPS_AT_ONCE, FloatTeacher, write_predictions
from training.tflite.convert import convert_float

logger = logging.getLogger(__name__)
FloatArray = NDArray[np.float32]


def write_embeddings(
    cache: ClipCache, name: str, *, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write a published embedding of every clip; yield (shards done, all shards).

    ``NNNNN.embedding-NAME.npy`` is float16 ``(n, n_steps, size)``. ``embedding-NAME.json`` holds
    mean and standard deviation of each dimension over the first shard.

    Raises
    ------
    ConfigError
        If no published embedding has this name, or its weights are missing.
    MissingDependencyError
        If the package with its weights is not installed.
    """
    recipe, network = _network(name)
    make = partial(FloatTeacher, convert_float(network), recipe)
    kind = embedding_kind(name)
    yield from write_predictions(cache, make, kind=kind, n_processes=n_processes)
    first = np.load(cache.file(0, kind)).astype(np.float32)
    first = first.reshape(-1, first.shape[-1])
    # The small number keeps a constant dimension from a division by zero.
    spread = {"mean": first.mean(axis=0).tolist(), "std": (first.std(axis=0) + 1e-3).tolist()}
    write_atomically(cache.path / f"{kind}.json", json.dumps(spread, indent=2))


def network_input(task: Task, clips: Sequence[Any]) -> FloatArray:
    """Return a network's input for whole clips: features, or with ``cache.inputs`` embeddings.

    Embeddings are kept in the folder of the cache, for the next run.
    """
    name = task.recipe.cache.inputs
    if not name:
        return task.features(clips)
    path = open_cache(task.recipe).path / f"clips-{key_of(clips)[:16]}.{embedding_kind(name)}.npy"
    if not path.is_file():
        logger.info("%s: embedding %d clips, once", path, len(clips))
        recipe, network = _network(name)
        teacher = FloatTeacher(convert_float(network), recipe)
        parts = []
        for start in range(0, len(clips), CLIPS_AT_ONCE):
            part = clips[start : start + CLIPS_AT_ONCE]
            samples = [fit_length(clip.read(), recipe.clip_samples) for clip in part]
            parts.append(teacher.predict(np.stack(samples)))
        save_array(path, np.concatenate(parts).astype(np.float16))
    return np.load(path).astype(np.float32)


def with_encoder(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Return a network that takes features: a head on embeddings gets their network in front.

    Raises
    ------
    ConfigError
        If the recipe has another front end than the published network, or its weights are missing.
    """
    if not recipe.cache.inputs:
        return model
    published, network = _network(recipe.cache.inputs)
    ours, theirs = recipe.frontend, published.frontend
    if any(getattr(ours, name) != getattr(theirs, name) for name in theirs.settings):
        raise ConfigError(
            f"{recipe.name}: cache.inputs = {recipe.cache.inputs!r}: expected [frontend] as in "
            f"recipe {published.name}"
        )
    return keras.Model(network.input, model(network.output), name=model.name)


def _network(name: str) -> tuple[Recipe, keras.Model]:
    """Return a published network up to its embedding ``(n_steps, size)``, and its recipe."""
    published = find(name)
    recipe, model = published_network(name)
    # (3, 1, 96) or (25, 384)
    inner = model.get_layer(published.layer).output
    steps = layers.Reshape((published.n_steps, published.size))(inner)
    return recipe, keras.Model(model.input, steps)
