"""Begin as a published network, with fewer filters: the way to a small one that knows as much.

A network drawn at random takes days to say what a published one says. One that begins as it, with
the filters that the others follow from, is close after an hour (channel pruning with
reconstruction, He et al. 2017; the choice is that of pivoted Cholesky factors).
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training import architectures as models
from training.architectures import pretrained
from training.architectures.embedding_output import find
from training.batches.cached_batches import TeacherFeatures, open_cache
from training.batches.clip_cache import SAMPLES, ShardRows
from training.batches.features import FeatureMaker
from training.config import recipe as recipes
from training.config.recipe import Recipe

FloatArray = NDArray[np.float32]
Matrix = NDArray[np.float64]
# Clips of the cache, and places in them, that show which filters depend on others.
N_CLIPS, N_PLACES = 300, 60_000
RIDGE = 1e-4


def start(model: keras.Model, recipe: Recipe) -> None:
    """Give a narrower network of the published form weights that say nearly the same.

    Raises
    ------
    ConfigError
        If the recipe's network has another form.
    """
    name = recipe.cache.feature_teacher
    published = recipes.load(find(name).recipe)
    whole = models.build(
        published.model.name,
        input_shape=published.input_shape,
        n_labels=len(published.data.labels),
        params=published.model.params,
    )
    pretrained.NETWORKS[name](whole)
    theirs, ours = pretrained.convolutions(whole), pretrained.convolutions(model)
    if recipe.model.name != published.model.name or len(theirs) != len(ours):
        raise ConfigError(
            f"fit.start_from = {name!r}: expected model.name = {published.model.name!r}, "
            f"got {recipe.model.name!r}"
        )
    for own, whole_one in zip(ours, theirs):
        if own.filters > whole_one.filters:
            raise ConfigError(
                f"model.params.filters: expected at most those of {name}, "
                f"{whole_one.filters} in {own.name}, got {own.filters}"
            )
    cache = open_cache(recipe)
    rows = ShardRows(cache, SAMPLES)
    samples = np.stack([rows.row(index) for index in range(min(N_CLIPS, cache.shard_clips))])
    heard = FeatureMaker(published.frontend).windows(
        samples, n_frames=published.model.window_frames
    )
    if "bands" in {layer.name for layer in model.layers}:
        seen = FeatureMaker(recipe.frontend).windows(samples, n_frames=recipe.model.window_frames)
        model.get_layer("bands").set_weights(_bands(seen, heard))
    for layer, weights in zip(ours, _narrowed(whole, [layer.filters for layer in ours], heard)):
        layer.set_weights(weights)
    if "imitation" in {layer.name for layer in model.layers}:
        spread = TeacherFeatures(cache, name)
        mean, deviation = spread.mean, spread.std
        model.get_layer("imitation").set_weights([np.diag(1 / deviation), -mean / deviation])


def _bands(seen: FloatArray, heard: FloatArray) -> list[FloatArray]:
    """Return kernel and bias of the linear map from our bands to the published network's."""
    frames = min(seen.shape[1], heard.shape[1])
    x = seen[:, :frames].reshape(-1, seen.shape[-1]).astype(np.float64)
    y = heard[:, :frames].reshape(-1, heard.shape[-1]).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    found = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return [found[:-1][None, None].astype(np.float32), found[-1].astype(np.float32)]


def _narrowed(
    whole: keras.Model, filters: list[int], heard: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """Return kernels and biases of the whole network's convolutions with fewer filters."""
    theirs = pretrained.convolutions(whole)
    inputs = keras.Model(whole.input, [layer.input for layer in theirs]).predict(
        heard, batch_size=64, verbose=0
    )
    rng = np.random.default_rng(0)
    made = []
    # What the next layer takes is `basis` of what is kept before it, and `rest`.
    basis, rest = np.eye(1), np.zeros(1)
    for index, layer in enumerate(theirs):
        kernel, bias = (np.asarray(weights, np.float64) for weights in layer.get_weights())
        bias = bias + np.einsum("tmco,c->o", kernel, rest)
        kernel = np.einsum("kc,tmco->tmko", basis, kernel)
        if index + 1 < len(theirs):
            taken = inputs[index + 1].reshape(-1, inputs[index + 1].shape[-1])
            some = rng.choice(len(taken), min(N_PLACES, len(taken)), replace=False)
            weight = np.sum(np.square(theirs[index + 1].get_weights()[0]), axis=(0, 1, 3))
            kept, basis, rest = _kept(taken[some].astype(np.float64), weight, filters[index])
            kernel, bias = kernel[..., kept], bias[kept]
        made.append((kernel.astype(np.float32), bias.astype(np.float32)))
    return made


def _kept(
    taken: Matrix, weight: FloatArray, n_filters: int
) -> tuple[NDArray[np.intp], Matrix, Matrix]:
    """Return which filters are kept, and how all of them follow from these.

    One after the other is chosen by how much of what the next layer makes of all filters it
    explains beyond those before it.

    Returns
    -------
    kept : ndarray, shape (n_filters,)
    basis : ndarray, shape (n_filters, n_all)
    rest : ndarray, shape (n_all,)
        ``all = kept @ basis + rest``, in the least squares.
    """
    mean = taken.mean(axis=0)
    centred = taken - mean
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
