"""Several workers train one network: each takes a part of every batch, gradients are added up.

Keras 3 cannot ``fit`` under `tf.distribute.MultiWorkerMirroredStrategy` (it hands PerReplica values
to ops that expect tensors; seen with TensorFlow 2.21 and Keras 3.15). So each worker holds plain
Keras variables that start with the chief's values, and a small loop sums loss and gradients over
the strategy. All workers then take the same optimizer step. Batch normalisation also takes its
statistics over the whole batch, so N workers train the network that one would.

Every worker draws the whole batch and keeps its rows: workers speed up the network, not the
augmentation. Training from a cache of augmented clips makes drawing cheap.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.config import recipe as recipes
from training.config.cluster import Cluster, WorkerError, wait_for_workers
from training.config.recipe import Recipe
from training.fit.prefetch import Batch

logger = logging.getLogger(__name__)
FloatArray = NDArray[np.float64]
VALIDATION_BATCH = 256


class Workers:
    """All workers of TF_CONFIG, joined. Each must make the same calls in the same order.

    All methods raise `WorkerError` if a worker is lost, the constructor if one is missing.
    """

    joined = False
    """Whether this process has joined others: its interpreter then shuts down only with them."""

    def __init__(self, cluster: Cluster, *, timeout_s: float) -> None:
        self.cluster = cluster
        wait_for_workers(cluster, timeout_s=timeout_s)
        logger.info("%s: all workers answer; joining them within %g s", cluster.name(), timeout_s)
        # TensorFlow holds the interpreter lock while it joins: only this ends the process if a
        # worker died in the meantime.
        with open(os.devnull, "w") as nowhere, self._errors():
            faulthandler.dump_traceback_later(timeout_s, exit=True, file=nowhere)
            try:
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
            finally:
                faulthandler.cancel_dump_traceback_later()
        Workers.joined = True
        self._sum = tf.function(self._sum_graph, autograph=False)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            logger.debug("%s", error)
            lost = ", ".join(map(self.cluster.name, self.cluster.unreachable()))
            raise WorkerError(
                f"{self.cluster.name()}: lost {lost or 'another worker'}; "
                "start all workers again with --resume"
            ) from error

    def _sum_graph(self, values: Any) -> Any:
        def add(given: Any) -> Any:
            # Identity places the value on this worker's device; an argument has no device.
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(given))

        return self._strategy.run(add, (values,))

    def sum(self, values: Any) -> FloatArray:
        """Return the sum over all workers of arrays of one shape; waits for every worker."""
        with self._errors():
            total: FloatArray = self._sum(tf.constant(values, tf.float64)).numpy()
        return total

    def check_recipe(self, recipe: Recipe) -> None:
        """Raise `WorkerError` unless all workers train by the same recipe."""
        mine = zlib.crc32(json.dumps(recipes.to_table(recipe), sort_keys=True).encode())
        numbers = np.eye(self.cluster.n_workers)[self.cluster.index] * mine
        different = np.flatnonzero(self.sum(numbers) != mine)
        if len(different):
            name = self.cluster.name(int(different[0]))
            raise WorkerError(f"{name} runs another recipe; give all workers the same one")

    def copy_from_chief(self, model: keras.Model) -> None:
        """Give every worker the chief's weights, averages and optimizer state."""
        variables = [*model.weights, *model.optimizer.variables]
        # Doubles hold every float and count exactly, and the others add only zeros.
        mine = np.concatenate([np.ravel(one.numpy()).astype(np.float64) for one in variables])
        chiefs = self.sum(mine if self.cluster.is_chief else np.zeros_like(mine))
        ends = np.cumsum([int(np.prod(one.shape)) for one in variables])
        for variable, values in zip(variables, np.split(chiefs, ends[:-1])):
            variable.assign(values.reshape(variable.shape).astype(variable.dtype))

    def fit(
        self,
        model: keras.Model,
        batches: Iterator[Batch],
        validation: Batch,
        callbacks: keras.callbacks.CallbackList,
        *,
        epochs: range,
        n_labels: int,
    ) -> None:
        """Do what Keras' own ``fit`` does; only the chief's callbacks may stop the training."""
        step = _Step(self, model, validation, n_labels)
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in epochs:
            callbacks.on_epoch_begin(epoch)
            sums = np.zeros(3)
            for number, batch in enumerate(islice(batches, callbacks.params["steps"])):
                callbacks.on_train_batch_begin(number)
                sums += step.train(*batch)
                callbacks.on_train_batch_end(number, _means(sums))
            # Processors of different kinds round differently.
            self.copy_from_chief(model)
            callbacks.on_test_begin()
            logs = {**_means(sums), **step.validate()}
            callbacks.on_test_end()
            callbacks.on_epoch_end(epoch, logs)
            if self.sum([float(self.cluster.is_chief and model.stop_training)])[0]:
                break
        callbacks.on_train_end()
        # The others leave after the chief has written its files: leaving looks like a loss.
        self.sum([0.0])


class _Step:
    """Train and validate on this worker's rows as if the batch were whole."""

    def __init__(
        self, workers: Workers, model: keras.Model, validation: Batch, n_labels: int
    ) -> None:
        self._workers, self._model = workers, model
        self._validation, self._n_labels = validation, n_labels
        # Open shapes: a short last batch must not be traced again, on one worker but not another.
        signature = [
            tf.TensorSpec((None, *shape[1:]), tf.float32)
            for shape in (model.input_shape, model.output_shape)
        ]
        train = tf.function(self._train_graph, input_signature=signature, autograph=False)
        with _synchronized_normalisation(model):
            self._train = train.get_concrete_function()
        evaluate = self._evaluate_graph
        self._evaluate = tf.function(evaluate, input_signature=signature, autograph=False)

    def train(self, features: NDArray[np.float32], targets: NDArray[np.float32]) -> FloatArray:
        """Take one step; return (loss, right answers, clips) of the whole batch."""
        with self._workers._errors():
            sums: FloatArray = self._train(tf.constant(features), tf.constant(targets)).numpy()
        return sums

    def validate(self) -> dict[str, float]:
        """Return loss and accuracy over the validation clips of all workers."""
        features, targets = self._validation
        mine = np.zeros(3)
        for start in range(0, len(features), VALIDATION_BATCH):
            rows = slice(start, start + VALIDATION_BATCH)
            mine += self._evaluate(features[rows], targets[rows]).numpy()
        return {f"val_{name}": value for name, value in _means(self._workers.sum(mine)).items()}

    def _evaluate_graph(self, features: Any, targets: Any) -> Any:
        return self._sums(features, targets, training=False)[1]

    def _train_graph(self, features: Any, targets: Any) -> Any:
        gradients, sums = self._workers._strategy.run(self._reduced, (features, targets))
        # Outside the strategy, or the optimizer would add the gradients up once more.
        mean = [gradient / sums[2] for gradient in gradients]
        self._model.optimizer.apply(mean, self._model.trainable_variables)
        return sums

    def _reduced(self, features: Any, targets: Any) -> tuple[list[Any], Any]:
        with tf.GradientTape() as tape:
            loss, sums = self._sums(features, targets, training=True)
        gradients = tape.gradient(loss, self._model.trainable_variables)
        reduced = tf.distribute.get_replica_context().all_reduce("SUM", [*gradients, sums])
        return reduced[:-1], reduced[-1]

    def _sums(self, features: Any, targets: Any, *, training: bool) -> tuple[Any, Any]:
        """Return the summed loss, and (loss, right answers, clips) of this worker's rows."""
        outputs = self._model(features, training=training)
        n_clips = tf.cast(tf.shape(features)[0], tf.float32)
        loss = tf.reduce_sum(self._model.loss.call(targets, outputs))
        if self._model.losses:
            loss += n_clips * tf.add_n(self._model.losses)
        wanted, got = (tf.argmax(one[:, : self._n_labels], axis=-1) for one in (targets, outputs))
        n_right = tf.reduce_sum(tf.cast(tf.equal(wanted, got), tf.float32))
        return loss, tf.stack([loss, n_right, n_clips])


def _means(sums: FloatArray) -> dict[str, float]:
    loss, right, n_clips = (float(value) for value in sums)
    return {"accuracy": right / n_clips, "loss": loss / n_clips}


@contextlib.contextmanager
def _synchronized_normalisation(model: keras.Model) -> Iterator[None]:
    """Trace with batch statistics over all workers; the saved model stays one worker's."""
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "synchronized")]
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False
