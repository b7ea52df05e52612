"""Embeddings from a trained Keras network: the output of its global pooling, or of other layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from kws.errors import ConfigError, KwsError
from training.architectures.embedding_output import pooling_layer
from training.architectures.recipe_model import build_model
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.datasets.clips import fit_length

FloatArray = NDArray[np.float32]
# Windows per batch: a few MB of features.
BATCH = 256


class KerasEmbedder:
    """Turn windows of samples into float32 embeddings.

    Parameters
    ----------
    model : keras.Model
        The trained network with its head.
    recipe : Recipe
        Its front end and window length.
    taps : sequence of str
        Names of layers to average over time (and bands) and concatenate. Default: the global
        pooling before the head.

    Raises
    ------
    ConfigError
        If a layer does not exist, or the network has no global pooling.
    """

    def __init__(self, model: keras.Model, recipe: Recipe, *, taps: Sequence[str] = ()) -> None:
        self.recipe = recipe
        self.whole = model
        pooled = pooling_layer(model)
        taps = tuple(taps) or (pooled.name,)
        outputs = [_averaged(_layer(model, name).output) for name in taps]
        joined = outputs[0] if len(outputs) == 1 else layers.Concatenate()(outputs)
        self._pooled = keras.Model(model.input, joined, name="embedding")
        self._steps = keras.Model(model.input, pooled.input, name="embedding_steps")
        self._features = FeatureMaker(recipe.frontend)

    @classmethod
    def open(cls, run: RunFolder, *, taps: Sequence[str] = ()) -> KerasEmbedder:
        """Return the embedder of a run's best weights.

        Raises
        ------
        KwsError
            If the run has no weights yet.
        """
        recipe = run.read_recipe()
        if not run.best.is_file():
            raise KwsError(f"{run.path}: no {run.best.name}; train at least one epoch first")
        model = build_model(recipe)
        model.load_weights(run.best)
        return cls(model, recipe, taps=taps)

    @property
    def model(self) -> keras.Model:
        """The network from features to embedding."""
        return self._pooled

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return int(self._pooled.output.shape[-1])

    def embed(self, windows: Sequence[NDArray[np.int16]] | NDArray[np.int16]) -> FloatArray:
        """Return the embeddings of windows of samples.

        Parameters
        ----------
        windows : sequence of ndarray of int16
            ``(n_samples,)`` each, at 16 kHz. Shorter windows are padded with zeros; longer ones
            are cut to their loudest part.

        Returns
        -------
        embeddings : ndarray of float32, shape (n_windows, size)
        """
        return self._run(self._pooled, windows)

    def steps(self, windows: Sequence[NDArray[np.int16]] | NDArray[np.int16]) -> FloatArray:
        """Return the input of the pooling, ``(n_windows, n_steps, n_values)``, in time order."""
        outputs = self._run(self._steps, windows)
        return outputs.reshape(*outputs.shape[:2], -1)

    def _run(self, model: keras.Model, windows: Sequence[NDArray[np.int16]]) -> FloatArray:
        parts = [np.empty((0, *model.output.shape[1:]), np.float32)]
        for start in range(0, len(windows), BATCH):
            batch = windows[start : start + BATCH]
            samples = np.stack([fit_length(one, self.recipe.clip_samples) for one in batch])
            features = self._features.windows(samples, n_frames=self.recipe.model.window_frames)
            parts.append(model.predict(features, batch_size=BATCH, verbose=0))
        return np.concatenate(parts)


def _layer(model: keras.Model, name: str) -> keras.layers.Layer:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ConfigError(f"{model.name}: no layer {name!r}; expected one of {', '.join(names)}")
    return model.get_layer(name)


def _averaged(output: keras.KerasTensor) -> keras.KerasTensor:
    """Return an output averaged over time and bands."""
    pooling = {
        3: layers.GlobalAveragePooling1D,
        4: layers.GlobalAveragePooling2D,
    }.get(len(output.shape))
    return pooling()(output) if pooling else output
