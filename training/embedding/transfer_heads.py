"""The classifier on embeddings: learned by scikit-learn, run as layers of a network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.config.sections import TransferConfig
from training.embedding.head import Head, Layer

FloatArray = NDArray[np.float32]
EPOCHS = 200


def learn(
    embeddings: FloatArray,
    labels: NDArray[np.intp],
    names: Sequence[str],
    config: TransferConfig,
    *,
    seed: int,
) -> Head:
    """Return a head that tells labels from embeddings.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, size)
    labels : ndarray of int, shape (n,)
        Indices into `names`; each of them occurs.
    names : sequence of str
        The labels in output order.
    config : TransferConfig
        Which head, and how far it trusts the data.
    seed : int
        Of the dense head's first weights and batches.

    Returns
    -------
    head : Head
        Its ``words`` are all labels but the last, whose logit is 0: `Head.posteriors` are those
        of all labels, in order.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64)
    spread = embeddings.std(axis=0, dtype=np.float64)
    # A number that hardly moves is not blown up.
    spread = np.maximum(spread, 0.1 * spread.mean() + 1e-6)
    learner = _logistic(config) if config.head == "logistic" else _dense(config, seed)
    with warnings.catch_warnings():
        # A head that is not quite at its optimum is as good.
        warnings.simplefilter("ignore")
        learner.fit((embeddings - mean) / spread, labels)
    if config.head == "logistic":
        layers = [(learner.coef_.T, learner.intercept_)]
    else:
        layers = list(zip(learner.coefs_, learner.intercepts_))
    weights, bias = layers[-1]
    if len(names) == 2:
        # Of two classes, scikit-learn gives the logit of the second against the first.
        layers[-1] = (-weights, -bias)
    else:
        layers[-1] = (weights[:, :-1] - weights[:, -1:], bias[:-1] - bias[-1])
    weights, bias = layers[0]
    layers[0] = (weights / spread[:, None], bias - (mean / spread) @ weights)
    return Head(
        tuple(names[:-1]),
        tuple(Layer(np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers),
    )


def _logistic(config: TransferConfig) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Each class counts alike, however many clips it has.
    return LogisticRegression(C=config.inverse_penalty, class_weight="balanced", max_iter=1_000)


def _dense(config: TransferConfig, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((config.hidden,), alpha=1e-2, max_iter=EPOCHS, random_state=seed)
