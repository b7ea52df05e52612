"""Heads: scikit-learn's classifiers as dense layers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="heads need the extra [train]")
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kws.errors import ConfigError
from training.config.sections import TransferConfig
from training.embedding.heads import (
    DenseLayer,
    Examples,
    Head,
    fit_classes,
    fit_logistic,
    stack,
)

SIZE = 24


def clusters(rng, n_words: int):
    """Return examples of well separated words, and test embeddings of each word."""
    middles = rng.normal(0, 2.0, (n_words, SIZE))

    def drawn(n: int):
        return [middle + rng.normal(0, 1, (n, SIZE)) for middle in middles]

    positives, labels = stack([one.astype(np.float32) for one in drawn(20)])
    negatives = rng.normal(0, 1, (2_000, SIZE)).astype(np.float32)
    words = tuple(f"word{n}" for n in range(n_words))
    fresh = [one.astype(np.float32) for one in drawn(50)]
    return Examples(words, positives, labels, negatives), fresh


@pytest.mark.parametrize("n_words", [1, 3])
def test_the_head_separates_words_from_negatives(rng, n_words):
    """Nine of ten test embeddings score above 99 % of the negatives."""
    examples, fresh = clusters(rng, n_words)

    head = fit_logistic(examples)

    for number, embeddings in enumerate(fresh):
        level = np.percentile(head.logits(examples.negatives)[:, number], 99)
        assert np.mean(head.logits(embeddings)[:, number] > level) > 0.9


def test_each_word_has_its_own_logit(rng):
    """The right word scores highest."""
    examples, fresh = clusters(rng, 3)

    head = fit_logistic(examples)

    right = [np.mean(head.logits(one).argmax(axis=1) == n) for n, one in enumerate(fresh)]
    assert min(right) > 0.9


def test_a_calibrated_head_has_a_posterior_of_half_at_its_threshold():
    """Calibration moves the threshold to logit 0; the gain makes the posterior steeper."""
    head = Head(("lamp",), (DenseLayer(np.eye(1, dtype=np.float32), np.zeros(1, np.float32)),))

    moved = head.calibrated(np.array([3.0], np.float32), np.array([2.0], np.float32))

    scores = moved.posteriors(np.array([[3.0], [4.0]], np.float32))[:, 0]
    np.testing.assert_allclose(scores, [0.5, 1 / (1 + np.exp(-2))], rtol=1e-5)


def clouds(rng, n_labels: int, *, n: int = 60, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return clusters of points in dimensions of very different scales."""
    middles = rng.normal(0, 1, (n_labels, size))
    labels = np.repeat(np.arange(n_labels), n)
    points = (middles[labels] + rng.normal(0, 0.7, (len(labels), size))) * np.geomspace(
        0.5, 5, size
    )
    return (points + 3).astype(np.float32), labels


@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_logistic_regression_is_scikit_learns(rng, n_labels):
    """
    With the scaling folded into one layer, posteriors equal scikit-learn's.
    """
    points, labels = clouds(rng, n_labels)
    names = [f"label{n}" for n in range(n_labels)]

    head = fit_classes(points, labels, names, TransferConfig(inverse_penalty=0.1), seed=1)

    scaler = StandardScaler().fit(points)
    learned = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1_000)
    learned.fit(scaler.transform(points), labels)
    assert tuple(names[:-1]) == head.words
    expected = learned.predict_proba(scaler.transform(points))
    np.testing.assert_allclose(expected, head.posteriors(points), atol=2e-3)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_a_dense_head_is_not_linear(rng, n_labels):
    """
    A hidden layer separates concentric rings; logistic regression does not.
    """
    labels = np.repeat(np.arange(n_labels), 150)
    angles = rng.uniform(0, 2 * np.pi, len(labels))
    radii = 1.0 + 2 * labels + rng.normal(0, 0.1, len(labels))
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)
    names = [str(n) for n in range(n_labels)]

    dense, linear = (
        fit_classes(points, labels, names, TransferConfig(head=head, inverse_penalty=10.0), seed=1)
        for head in ("dense", "logistic")
    )

    assert np.mean(dense.posteriors(points).argmax(axis=1) == labels) > 0.9
    assert np.mean(linear.posteriors(points).argmax(axis=1) == labels) < 0.7


def test_rare_labels_count_as_much_as_frequent_ones(rng):
    """
    The border between two labels stays in the middle, although one has ten times the clips.
    """
    points = rng.normal(0, 1, (550, 1)).astype(np.float32)
    labels = np.repeat([0, 1], [500, 50])
    points[labels == 1] += 2

    head = fit_classes(
        points, labels, ("many", "few"), TransferConfig(inverse_penalty=10.0), seed=1
    )

    border = points[np.argmin(np.abs(head.posteriors(points)[:, 0] - 0.5)), 0]
    assert 0.7 < border < 1.3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", "forest"),
        ("short", "loop"),
        ("average", "scores"),
        ("hidden", 0),
        ("windows", 0),
        ("inverse_penalty", -1.0),
    ],
)
def test_invalid_settings_are_refused(key, value):
    """
    The message names the setting.
    """
    with pytest.raises(ConfigError, match=rf"transfer\.{key}"):
        TransferConfig(**{key: value})
