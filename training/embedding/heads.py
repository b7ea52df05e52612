"""Small classifiers on embeddings, fitted by scikit-learn and kept as dense layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.config.sections import TransferConfig

FloatArray = NDArray[np.float32]
POSITIVE_SHARE = 0.1
"""Weight of all positives of a word against all negatives: a few recordings must not drown."""

TRANSFER_EPOCHS = 200


@dataclass(frozen=True)
class DenseLayer:
    """``x @ weights + bias``; every layer of a head but the last ends in ReLU."""

    weights: FloatArray
    """Float32 ``(n_in, n_out)``."""

    bias: FloatArray
    """Float32 ``(n_out,)``."""


@dataclass(frozen=True)
class Head:
    """Layers from an embedding to one logit per word.

    The logit of "none of the words" is fixed at 0. A word's logit of 0 therefore means that the
    word is as likely as everything else.
    """

    words: tuple[str, ...]
    layers: tuple[DenseLayer, ...]

    def hidden(self, embeddings: FloatArray) -> list[FloatArray]:
        """Return the output of each hidden layer."""
        outputs: list[FloatArray] = []
        for layer in self.layers[:-1]:
            x = outputs[-1] if outputs else embeddings
            outputs.append(np.maximum(x @ layer.weights + layer.bias, 0))
        return outputs

    def logits(self, embeddings: FloatArray) -> FloatArray:
        """Return ``(n, n_words)`` for embeddings ``(n, size)``."""
        x = self.hidden(embeddings)[-1] if len(self.layers) > 1 else embeddings
        last = self.layers[-1]
        return np.asarray(x @ last.weights + last.bias, np.float32)

    def posteriors(self, embeddings: FloatArray) -> FloatArray:
        """Return ``(n, n_words + 1)``; the last column is "none of the words"."""
        logits = np.pad(self.logits(embeddings), ((0, 0), (0, 1)))
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def calibrated(self, thresholds: FloatArray, gain: FloatArray) -> Head:
        """Return the head whose logits are ``gain * (logit - threshold)``, per word."""
        last = self.layers[-1]
        moved = _layer(last.weights * gain, (last.bias - thresholds) * gain)
        return Head(self.words, (*self.layers[:-1], moved))


@dataclass(frozen=True)
class Examples:
    """Embeddings of some words and of everything else."""

    words: tuple[str, ...]
    positives: FloatArray
    """Float32 ``(n, size)``: copies of the recordings."""

    labels: NDArray[np.intp]
    """``(n,)``: index of the word of each positive."""

    negatives: FloatArray
    """Float32 ``(m, size)``."""


def fit_logistic(examples: Examples) -> Head:
    """Return multinomial logistic regression, with each word weighted by `POSITIVE_SHARE`."""
    from sklearn.linear_model import LogisticRegression

    n_words, n_negatives = len(examples.words), len(examples.negatives)
    x = np.concatenate([examples.positives, examples.negatives])
    y = np.concatenate([examples.labels, np.full(n_negatives, n_words)])
    weights = np.ones(len(y))
    for word in range(n_words):
        rows = examples.labels == word
        weights[: len(rows)][rows] = POSITIVE_SHARE * n_negatives / max(1, rows.sum())
    estimator = LogisticRegression(C=0.02, max_iter=200, tol=1e-3)
    scaling = _scaling(examples.negatives, np.float32)
    return _fit(estimator, x, y, examples.words, scaling, sample_weight=weights)


def fit_classes(
    embeddings: FloatArray,
    labels: NDArray[np.intp],
    names: Sequence[str],
    config: TransferConfig,
    *,
    seed: int,
) -> Head:
    """Return a head that assigns one of `names` to each embedding, for `kws-train transfer`.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, size)
    labels : ndarray of int, shape (n,)
        Indices into `names`; each name must occur.
    names : sequence of str
        Labels in output order. The head's ``words`` are all of them but the last.
    config : TransferConfig
        Kind of head and its penalty.
    seed : int
        Initial weights and batches of the dense head.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if config.head == "logistic":
        # "balanced": each class counts alike, however many clips it has.
        estimator = LogisticRegression(
            C=config.inverse_penalty, class_weight="balanced", max_iter=1_000
        )
    else:
        estimator = MLPClassifier(
            (config.hidden,), alpha=1e-2, max_iter=TRANSFER_EPOCHS, random_state=seed
        )
    scaling = _scaling(embeddings, np.float64)
    return _fit(estimator, embeddings, labels, tuple(names[:-1]), scaling)


def stack(parts: Sequence[FloatArray]) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the rows of all parts, and the index of the part of each row."""
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), labels


def _fit(
    estimator: Any,
    x: FloatArray,
    y: NDArray[np.intp],
    words: tuple[str, ...],
    scaling: tuple[NDArray[Any], NDArray[Any]],
    **options: Any,
) -> Head:
    """Fit a scikit-learn classifier on standardised embeddings and return it as layers."""
    mean, deviation = scaling
    with warnings.catch_warnings():
        # ConvergenceWarning: a head close to its optimum is good enough.
        warnings.simplefilter("ignore")
        estimator.fit((x - mean) / deviation, y, **options)
    if hasattr(estimator, "coefs_"):
        layers = list(zip(estimator.coefs_, estimator.intercepts_))
    else:
        layers = [(estimator.coef_.T, estimator.intercept_)]
    weights, bias = layers[-1]
    if len(words) == 1:
        # For two classes scikit-learn gives the logit of the second against the first.
        layers[-1] = (-weights, -bias)
    else:
        layers[-1] = (weights[:, :-1] - weights[:, -1:], bias[:-1] - bias[-1])
    first = _unscaled(*layers[0], mean, deviation)
    return Head(words, (first, *(_layer(*layer) for layer in layers[1:])))


def _scaling(embeddings: FloatArray, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and standard deviation per dimension; tiny deviations are raised to a floor."""
    deviation = embeddings.std(axis=0, dtype=dtype)
    floor = 0.1 * float(deviation.mean()) + 1e-6
    return embeddings.mean(axis=0, dtype=dtype), np.maximum(deviation, floor)


def _unscaled(
    weights: NDArray[Any], bias: NDArray[Any], mean: NDArray[Any], deviation: NDArray[Any]
) -> DenseLayer:
    """Return the layer on raw embeddings that equals this layer on standardised ones."""
    unscaled = np.asarray(weights, np.float64) / deviation[:, None]
    return _layer(unscaled, bias - mean @ unscaled)


def _layer(weights: NDArray[Any], bias: NDArray[Any]) -> DenseLayer:
    return DenseLayer(np.asarray(weights, np.float32), np.asarray(bias, np.float32))
