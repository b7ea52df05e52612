"""Learning what a published embedding says: the way to words that no clip of ours holds.

Google's speech embedding (Lin et al. 2020) was trained on thousands of words from millions of
clips that nobody else has. A small network that learns to say the same at each moment takes over
what it knows of words (feature distillation, Romero et al. 2015): of every clip of a cache, noise
included, and whether or not its word has a label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kws.files import write_atomically
from training import architectures as models
from training.architectures import pretrained
from training.architectures.embedding_output import find
from training.batches.clip_cache import ClipCache, check_positive
from training.config import recipe as recipes


def teach_embedding(
    cache: ClipCache, name: str, *, n_processes: int = 2
) -> Iterator[tuple[int, int]]:
    """Write what a published embedding says of every clip; yield (shards done, shards in all).

    ``NNNNN.embedding-NAME.npy`` is float16 ``(n, n_steps, size)``, ``embedding-NAME.json`` holds
    mean and deviation of each of its numbers over the first shard.

    Raises
    ------
    ConfigError
        If no published embedding has this name.
    MissingDependencyError
        If the package that carries its weights is not installed.
    """
    from training.distillation.soft_labels import listen
    from training.tflite.convert import convert_float

    check_positive("--processes", n_processes)
    published = find(name)
    recipe = recipes.load(published.recipe)
    model = models.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels),
        params=recipe.model.params,
    )
    pretrained.NETWORKS[name](model)
    steps = layers.Reshape((published.n_steps, published.size))(
        model.get_layer(published.layer).output  # (3, 1, 96)
    )
    cut = keras.Model(model.input, steps)
    kind = f"embedding-{name}"
    yield from listen(cache, convert_float(cut), recipe, kind=kind, n_processes=n_processes)
    first = np.load(cache.file(0, kind)).astype(np.float32)
    first = first.reshape(-1, first.shape[-1])
    # A number that never moves is divided by nothing.
    spread = {"mean": first.mean(axis=0).tolist(), "std": (first.std(axis=0) + 1e-3).tolist()}
    text = json.dumps(spread, indent=2)
    write_atomically(cache.path / f"{kind}.json", text)


@keras.saving.register_keras_serializable(package="kws")
class ImitationLoss(keras.losses.Loss):
    """The loss of the labels and `weight` of the mean squared error of what lies behind them.

    Where the targets behind the labels are all zero, what the embedding says is not known, and
    the label alone counts.
    """

    def __init__(
        self, n_labels: int, weight: float, label_smoothing: float, name: str = "imitation_loss"
    ) -> None:
        super().__init__(name=name)
        self.n_labels, self.weight, self.label_smoothing = n_labels, weight, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each clip."""
        wanted, said = y_true[:, self.n_labels :], y_pred[:, self.n_labels :]
        known = ops.cast(ops.any(wanted != 0, axis=-1), said.dtype)
        error = known * ops.mean(ops.square(wanted - said), axis=-1)
        labels = keras.losses.categorical_crossentropy(
            y_true[:, : self.n_labels],
            y_pred[:, : self.n_labels],
            label_smoothing=self.label_smoothing,
        )
        return labels + self.weight * error

    def get_config(self) -> dict[str, Any]:
        """Return what makes the same loss again."""
        names = ("n_labels", "weight", "label_smoothing", "name")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="kws")
class LabelAccuracy(keras.metrics.CategoricalAccuracy):
    """Accuracy of the labels, whatever lies behind them."""

    def __init__(self, n_labels: int, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.n_labels = n_labels

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count the clips of a batch."""
        return super().update_state(
            y_true[:, : self.n_labels], y_pred[:, : self.n_labels], sample_weight
        )

    def get_config(self) -> dict[str, Any]:
        """Return what makes the same metric again."""
        return {"n_labels": self.n_labels, "name": self.name, "dtype": self.dtype}
