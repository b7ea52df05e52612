"""Feature distillation: a small network also learns to predict a published embedding.

Google's speech embedding (Lin et al. 2020) was trained on thousands of words from millions of
clips that nobody else has. A small network that predicts it at each moment of every clip of a
cache, noise included, takes over what it knows about words (Romero et al. 2015).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kws")
class FeatureLoss(keras.losses.Loss):
    """Cross-entropy of the labels plus `weight` times the mean squared error of the features.

    Targets and outputs hold the labels first, then the features. Where all features of a target
    are zero, they are unknown and only the labels count.
    """

    def __init__(
        self, n_labels: int, weight: float, label_smoothing: float, name: str = "feature_loss"
    ) -> None:
        super().__init__(name=name)
        self.n_labels, self.weight, self.label_smoothing = n_labels, weight, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each clip."""
        wanted, predicted = y_true[:, self.n_labels :], y_pred[:, self.n_labels :]
        known = ops.cast(ops.any(wanted != 0, axis=-1), predicted.dtype)
        error = known * ops.mean(ops.square(wanted - predicted), axis=-1)
        labels = keras.losses.categorical_crossentropy(
            y_true[:, : self.n_labels],
            y_pred[:, : self.n_labels],
            label_smoothing=self.label_smoothing,
        )
        return labels + self.weight * error

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same loss."""
        names = ("n_labels", "weight", "label_smoothing", "name")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="kws")
class LabelAccuracy(keras.metrics.CategoricalAccuracy):
    """Accuracy of the labels, without the features behind them."""

    def __init__(self, n_labels: int, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.n_labels = n_labels

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count the clips of a batch."""
        return super().update_state(
            y_true[:, : self.n_labels], y_pred[:, : self.n_labels], sample_weight
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same metric."""
        return {"n_labels": self.n_labels, "name": self.name, "dtype": self.dtype}
