"""Sub-spectral normalisation (Chang et al., SubSpectral Normalization, 2021) in its affine form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from kws.errors import ConfigError


@keras.saving.register_keras_serializable("kws")
class SubSpectralNorm(layers.Layer):
    """Batch normalisation with separate statistics for each group of neighbouring bands.

    Works on ``(batch, time, bands, channels)``. At inference it is one multiplication and one
    addition per (band, channel): the published form adds dozens of reshapes and transposes to the
    int8 graph.

    Parameters
    ----------
    n_groups : int
        The bands must divide into them; 1 is plain batch normalisation.
    momentum, epsilon : float
        As in `keras.layers.BatchNormalization`.
    """

    def __init__(
        self, n_groups: int = 5, *, momentum: float = 0.99, epsilon: float = 1e-3, **options: Any
    ) -> None:
        super().__init__(**options)
        self.n_groups, self.momentum, self.epsilon = n_groups, momentum, epsilon
        # As in BatchNormalization: statistics over all workers of a distributed fit.
        self.synchronized = False

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make weights ``(n_groups, channels)``."""
        bands, channels = input_shape[-2], input_shape[-1]
        assert bands is not None
        if bands % self.n_groups:
            raise ConfigError(f"{bands} bands do not divide into {self.n_groups} groups")
        self._per_group = bands // self.n_groups
        shape = (self.n_groups, channels)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape=shape, initializer="ones", trainable=False, name="moving_variance"
        )

    def call(self, x: Any, training: bool = False) -> Any:
        """Return `x` normalised, same shape."""
        if not training:
            return self._affine(x, self.moving_mean, self.moving_variance)
        # Mean and square over batch and time by band, then over the bands of a group.
        mean, square = (self._group(by_band) for by_band in self._means(x))
        variance = ops.maximum(square - ops.square(mean), 0.0)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        return self._affine(x, mean, variance)

    def _means(self, x: Any) -> tuple[Any, Any]:
        """Return the means of `x` and its square over batch and time, ``(bands, channels)``."""
        if not self.synchronized:
            return ops.mean(x, axis=(0, 1)), ops.mean(ops.square(x), axis=(0, 1))
        from tensorflow import distribute

        n_values = ops.cast(ops.shape(x)[0] * ops.shape(x)[1], x.dtype)
        sums = [ops.sum(x, axis=(0, 1)), ops.sum(ops.square(x), axis=(0, 1)), n_values]
        total, squares, n_all = distribute.get_replica_context().all_reduce("SUM", sums)
        return total / n_all, squares / n_all

    def _group(self, by_band: Any) -> Any:
        """Return the mean over each group's bands, ``(n_groups, channels)``."""
        shape = (self.n_groups, self._per_group, by_band.shape[-1])
        return ops.mean(ops.reshape(by_band, shape), axis=1)

    def _affine(self, x: Any, mean: Any, variance: Any) -> Any:
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        offset = self.beta - mean * scale
        return x * ops.repeat(scale, self._per_group, axis=0) + ops.repeat(
            offset, self._per_group, axis=0
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {
            **super().get_config(),
            "n_groups": self.n_groups,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
