"""One training step shared by all workers: gradients and batch statistics over the whole batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.batches.prefetch import Batch
from training.config.recipe import Recipe
from training.fit.worker_group import Team


class Sums:
    """Loss, right answers and clips, added up."""

    def __init__(self) -> None:
        self._sums = np.zeros(3)

    def add(self, sums: NDArray[np.float64]) -> None:
        """Add (loss, right answers, clips) of some clips."""
        self._sums += sums

    def means(self) -> dict[str, float]:
        """Return the means over clips, by the names that Keras gives them."""
        loss, right, n_clips = self._sums
        return {"accuracy": right / n_clips, "loss": loss / n_clips}


class SharedStep:
    """Train on this worker's rows as if the batch were whole."""

    def __init__(self, model: keras.Model, team: Team, recipe: Recipe) -> None:
        self._model, self._team = model, team
        self._loss = keras.losses.CategoricalCrossentropy(
            label_smoothing=recipe.fit.label_smoothing, reduction="sum"
        )
        # A short last batch must not be traced anew: on another worker it may not be the first.
        signature = [
            tf.TensorSpec((None, *shape[1:]), tf.float32)
            for shape in (model.input_shape, model.output_shape)
        ]
        train = tf.function(self._train, input_signature=signature, autograph=False)
        with _over_all_workers(model):
            self._graph = train.get_concrete_function()
        self._judge = tf.function(self._judged, input_signature=signature, autograph=False)

    def train(self, features: NDArray[np.float32], targets: NDArray[np.float32]) -> Any:
        """Take one step and return (loss, right answers, clips) of the whole batch."""
        with self._team.waiting():
            return self._graph(tf.constant(features), tf.constant(targets)).numpy()

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return loss and accuracy over all workers' validation clips."""
        mine = np.zeros(3)
        for features, targets in batches:
            mine += self._judge(tf.constant(features), tf.constant(targets)).numpy()
        sums = Sums()
        sums.add(self._team.add_up(mine))
        return sums.means()

    def _train(self, features: Any, targets: Any) -> Any:
        gradients, sums = self._team.strategy.run(self._reduced, (features, targets))
        # Outside the strategy, or the optimizer would add up once more.
        mean = [gradient / sums[2] for gradient in gradients]
        self._model.optimizer.apply(mean, self._model.trainable_variables)
        return sums

    def _reduced(self, features: Any, targets: Any) -> tuple[list[Any], Any]:
        """Return gradients and sums over all workers."""
        n_clips = tf.cast(tf.shape(features)[0], tf.float32)
        with tf.GradientTape() as tape:
            posteriors = self._model(features, training=True)
            loss = self._loss(targets, posteriors)
            total = loss + n_clips * sum(self._model.losses)
        gradients = tape.gradient(total, self._model.trainable_variables)
        sums = tf.stack([total, _n_right(targets, posteriors), n_clips])
        reduced = tf.distribute.get_replica_context().all_reduce("SUM", [*gradients, sums])
        return reduced[:-1], reduced[-1]

    def _judged(self, features: Any, targets: Any) -> Any:
        posteriors = self._model(features, training=False)
        n_clips = tf.cast(tf.shape(features)[0], tf.float32)
        return tf.stack([self._loss(targets, posteriors), _n_right(targets, posteriors), n_clips])


def _n_right(targets: Any, posteriors: Any) -> Any:
    same = tf.equal(tf.argmax(targets, axis=-1), tf.argmax(posteriors, axis=-1))
    return tf.reduce_sum(tf.cast(same, tf.float32))


@contextlib.contextmanager
def _over_all_workers(model: keras.Model) -> Iterator[None]:
    """Let normalisation take its statistics over all workers' clips in what is traced inside.

    Not kept beyond, so that a saved model is one worker's and can be resumed by one.
    """
    normalising = [layer for layer in _layers(model) if hasattr(layer, "synchronized")]
    for layer in normalising:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in normalising:
            layer.synchronized = False


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)
