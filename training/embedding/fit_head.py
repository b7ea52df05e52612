"""Learning a head: what tells the words' embeddings from everything else's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.embedding.head import Head, Layer

FloatArray = NDArray[np.float32]
SEED = 1


@dataclass(frozen=True)
class Examples:
    """What a head learns from."""

    words: tuple[str, ...]
    positives: FloatArray
    """Float32 ``(n, size)``: copies of the recordings."""

    labels: NDArray[np.intp]
    """``(n,)``: the index of their word."""

    negatives: FloatArray
    """Float32 ``(m, size)``."""


def logistic(examples: Examples, *, inverse_penalty: float = 0.02) -> Head:
    """Return multinomial logistic regression on embeddings (scikit-learn).

    Positives of a word together weigh a tenth of all negatives, so that a few recordings are
    not drowned, and the penalty is on numbers of deviation 1.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = _spread(examples.negatives)
    x = np.concatenate([examples.positives, examples.negatives])
    n_words = len(examples.words)
    y = np.concatenate([examples.labels, np.full(len(examples.negatives), n_words)])
    weights = np.ones(len(y))
    for word in range(n_words):
        rows = examples.labels == word
        weights[: len(rows)][rows] = 0.1 * len(examples.negatives) / max(1, rows.sum())
    learned = LogisticRegression(C=inverse_penalty, max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        # A head that is not quite at its optimum is as good.
        warnings.simplefilter("ignore")
        learned.fit((x - mean) / spread, y, sample_weight=weights)
    if n_words == 1:
        # Two classes have one row, for the last of them: none of the words.
        coefficients, bias = -learned.coef_, -learned.intercept_
    else:
        coefficients = learned.coef_[:n_words] - learned.coef_[n_words]
        bias = learned.intercept_[:n_words] - learned.intercept_[n_words]
    return Head(examples.words, (_unscaled(coefficients.T, bias, mean, spread),))


def prototype(examples: Examples, *, shrinkage: float = 0.1) -> Head:
    """Return nearest prototypes: the distance to a word's mean against that to the negatives'.

    Distances are Mahalanobis' under the negatives' covariance, shrunk towards its diagonal, which
    makes the difference of two of them linear (Fisher's discriminant): it learns nothing of the
    positives but their mean, and so is at its best with very few of them.
    """
    mean, spread = _spread(examples.negatives)
    negatives = (examples.negatives - mean) / spread
    covariance = negatives.T @ negatives / len(negatives)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.eye(len(covariance))
    columns, bias = [], []
    for word in range(len(examples.words)):
        rows = (examples.positives[examples.labels == word] - mean) / spread
        prototype = rows.mean(axis=0)
        direction = np.linalg.solve(covariance, prototype)
        columns.append(direction)
        bias.append(-0.5 * prototype @ direction)
    return Head(
        examples.words, (_unscaled(np.stack(columns, axis=1), np.array(bias), mean, spread),)
    )


def dense(examples: Examples, *, hidden: int = 32, epochs: int = 30) -> Head:
    """Return a small network with one rectified layer (scikit-learn's, Adam)."""
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(SEED)
    mean, spread = _spread(examples.negatives)
    n_words = len(examples.words)
    # It knows no weights: positives are repeated until they are a tenth of the negatives.
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(examples.labels == word), len(examples.negatives) // 10)
            for word in range(n_words)
        ]
    )
    x = np.concatenate([examples.positives[rows], examples.negatives])
    y = np.concatenate([examples.labels[rows], np.full(len(examples.negatives), n_words)])
    learned = MLPClassifier(
        (hidden,), alpha=1e-2, batch_size=256, max_iter=epochs, random_state=SEED
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learned.fit((x - mean) / spread, y)
    weights, bias = learned.coefs_[1], learned.intercepts_[1]
    if n_words == 1:
        weights, bias = -weights, -bias
    else:
        weights = weights[:, :n_words] - weights[:, n_words:]
        bias = bias[:n_words] - bias[n_words]
    return Head(
        examples.words,
        (
            _unscaled(learned.coefs_[0], learned.intercepts_[0], mean, spread),
            Layer(np.asarray(weights, np.float32), np.asarray(bias, np.float32)),
        ),
    )


KINDS: dict[str, Callable[[Examples], Head]] = {
    "logistic": logistic,
    "dense": dense,
    "prototype": prototype,
}


def _spread(negatives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and deviation of each number; one that hardly moves is not blown up."""
    deviation = negatives.std(axis=0)
    return negatives.mean(axis=0), np.maximum(deviation, 0.1 * float(deviation.mean()) + 1e-6)


def _unscaled(
    weights: NDArray[np.floating],
    bias: NDArray[np.floating],
    mean: FloatArray,
    spread: FloatArray,
) -> Layer:
    """Return a layer on embeddings as they are, of one on numbers of mean 0 and deviation 1."""
    unscaled = np.asarray(weights, np.float64) / spread[:, None]
    return Layer(np.asarray(unscaled, np.float32), np.asarray(bias - mean @ unscaled, np.float32))


def stacked(parts: Sequence[FloatArray]) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return parts one behind the other, and which of them each row is from."""
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), labels
