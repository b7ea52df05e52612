"""Structured pruning: start a small network with the most useful filters of a published one.

A randomly initialised network needs days to predict the published embedding. One that starts with
the filters from which the others can be reconstructed is close after an hour (channel pruning
with reconstruction, He et al. 2017; filters are chosen as in a pivoted Cholesky factorisation).
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.architectures import pretrained
from training.batches.cached_batches import TeacherFeatures, open_cache
from training.batches.clip_cache import SAMPLES, ShardRows
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe

FloatArray = NDArray[np.float32]
Matrix = NDArray[np.float64]
# Clips of the cache, and places in them, that show which filters depend on others.
N_CLIPS, N_PLACES = 300, 60_000
RIDGE = 1e-4


def load_pruned_weights(model: keras.Model, recipe: Recipe) -> None:
    """Give a narrower version of a published network weights that predict nearly the same.

    Raises
    ------
    ConfigError
        If the recipe's network is no narrower version of it.
    """
    name = recipe.cache.feature_teacher
    published, whole = pretrained.published_network(name)
    wide, narrow = pretrained.convolutions(whole), pretrained.convolutions(model)
    if recipe.model.name != published.model.name or len(wide) != len(narrow):
        raise ConfigError(
            f"fit.start_from = {name!r}: expected model.name = {published.model.name!r}, "
            f"got {recipe.model.name!r}"
        )
    for ours, theirs in zip(narrow, wide):
        if ours.filters > theirs.filters:
            raise ConfigError(
                f"model.params.filters: expected at most those of {name}, "
                f"{theirs.filters} in {ours.name}, got {ours.filters}"
            )
    cache = open_cache(recipe)
    rows = ShardRows(cache, SAMPLES)
    samples = np.stack([rows.row(index) for index in range(min(N_CLIPS, cache.shard_clips))])
    frames = FeatureMaker(published.frontend).windows(
        samples, n_frames=published.model.window_frames
    )
    names = {layer.name for layer in model.layers}
    if "bands" in names:
        ours = FeatureMaker(recipe.frontend).windows(samples, n_frames=recipe.model.window_frames)
        model.get_layer("bands").set_weights(fit_bands(ours, frames))
    n_filters = [layer.filters for layer in narrow]
    for layer, weights in zip(narrow, pruned_weights(whole, n_filters, frames)):
        layer.set_weights(weights)
    if "features" in names:
        spread = TeacherFeatures(cache, name)
        model.get_layer("features").set_weights(
            [np.diag(1 / spread.std), -spread.mean / spread.std]
        )


def fit_bands(ours: FloatArray, theirs: FloatArray) -> list[FloatArray]:
    """Return kernel and bias of the linear map from our bands to the published network's."""
    n_frames = min(ours.shape[1], theirs.shape[1])
    x = ours[:, :n_frames].reshape(-1, ours.shape[-1]).astype(np.float64)
    y = theirs[:, :n_frames].reshape(-1, theirs.shape[-1]).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    found = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return [found[:-1][None, None].astype(np.float32), found[-1].astype(np.float32)]


def pruned_weights(
    whole: keras.Model, n_filters: list[int], frames: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """Return kernel and bias of each convolution of the whole network with fewer filters."""
    wide = pretrained.convolutions(whole)
    inputs = keras.Model(whole.input, [layer.input for layer in wide]).predict(
        frames, batch_size=64, verbose=0
    )
    rng = np.random.default_rng(0)
    pruned = []
    # The next layer's input is reconstructed as: kept filters @ basis + rest.
    basis, rest = np.eye(1), np.zeros(1)
    for index, layer in enumerate(wide):
        kernel, bias = (np.asarray(weights, np.float64) for weights in layer.get_weights())
        bias = bias + np.einsum("tmco,c->o", kernel, rest)
        kernel = np.einsum("kc,tmco->tmko", basis, kernel)
        if index + 1 < len(wide):
            values = inputs[index + 1].reshape(-1, inputs[index + 1].shape[-1])
            some = rng.choice(len(values), min(N_PLACES, len(values)), replace=False)
            weight = np.sum(np.square(wide[index + 1].get_weights()[0]), axis=(0, 1, 3))
            kept, basis, rest = choose_filters(
                values[some].astype(np.float64), weight, n_filters[index]
            )
            kernel, bias = kernel[..., kept], bias[kept]
        pruned.append((kernel.astype(np.float32), bias.astype(np.float32)))
    return pruned


def choose_filters(
    values: Matrix, weight: FloatArray, n_filters: int
) -> tuple[NDArray[np.intp], Matrix, Matrix]:
    """Return which filters to keep, and `basis` and `rest`: ``all = kept @ basis + rest``.

    Each choice is the filter that explains most of what the chosen ones do not yet explain of
    `values` ``(n, n_all)``, the outputs at many places. It is weighted by how much the next layer
    uses it: `weight` ``(n_all,)`` holds that layer's squared weights.
    """
    mean = values.mean(axis=0)
    centred = values - mean
    covariance = centred.T @ centred / len(centred)
    left = covariance.copy()
    chosen: list[int] = []
    for _ in range(n_filters):
        own = np.maximum(np.diag(left), 1e-9)
        gain = np.sum(left**2 * weight[None, :], axis=1) / own
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        chosen.append(best)
        left -= np.outer(left[:, best], left[best]) / own[best]
    kept = np.sort(chosen)
    others = np.setdiff1d(np.arange(len(mean)), kept)
    ridge = RIDGE * np.trace(covariance) / len(mean) * np.eye(n_filters)
    basis = np.zeros((n_filters, len(mean)))
    basis[np.arange(n_filters), kept] = 1.0
    basis[:, others] = np.linalg.solve(
        covariance[np.ix_(kept, kept)] + ridge, covariance[np.ix_(kept, others)]
    )
    return kept, basis, mean - mean[kept] @ basis
