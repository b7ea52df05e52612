"""A small classifier behind an embedding: what is learned when a word is taught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A dense layer: ``x @ weights + bias``, rectified but for the last one."""

    weights: FloatArray
    """Float32 ``(n_in, n_out)``."""

    bias: FloatArray
    """Float32 ``(n_out,)``."""


@dataclass(frozen=True)
class Head:
    """Layers from an embedding to one logit a word.

    The logit of "none of them" is always 0, so that a word's is its distance from the threshold:
    at 0 the word is as likely as everything else.
    """

    words: tuple[str, ...]
    layers: tuple[Layer, ...]

    def logits(self, embeddings: FloatArray) -> FloatArray:
        """Return ``(n, n_words)`` of embeddings ``(n, size)``."""
        x = embeddings
        for layer in self.layers[:-1]:
            x = np.maximum(x @ layer.weights + layer.bias, 0)
        last = self.layers[-1]
        return np.asarray(x @ last.weights + last.bias, np.float32)

    def posteriors(self, embeddings: FloatArray) -> FloatArray:
        """Return ``(n, n_words + 1)``: the words' and, last, that of none of them."""
        logits = np.pad(self.logits(embeddings), ((0, 0), (0, 1)))
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def calibrated(self, thresholds: FloatArray, gain: FloatArray) -> Head:
        """Return the head whose logits are ``gain * (logit - threshold)``, word by word."""
        last = self.layers[-1]
        moved = Layer(
            np.asarray(last.weights * gain, np.float32),
            np.asarray((last.bias - thresholds) * gain, np.float32),
        )
        return Head(self.words, (*self.layers[:-1], moved))
