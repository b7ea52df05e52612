"""Heads on embeddings: what scikit-learn learns, as layers; clips as windows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="heads need the extra [train]")
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kws.errors import ConfigError
from training.config.sections import TransferConfig
from training.embedding.transfer_heads import learn
from training.transfer.windows import windows_of


def clouds(rng, n_labels: int, *, n: int = 60, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return points about a middle for each label, on numbers of very different sizes."""
    middles = rng.normal(0, 1, (n_labels, size))
    labels = np.repeat(np.arange(n_labels), n)
    points = (middles[labels] + rng.normal(0, 0.7, (len(labels), size))) * np.geomspace(
        0.5, 5, size
    )
    return (points + 3).astype(np.float32), labels


@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_logistic_regression_is_scikit_learns(rng, n_labels):
    """
    Folded into one layer on embeddings as they are, it gives scikit-learn's own posteriors.
    """
    points, labels = clouds(rng, n_labels)
    names = [f"label{n}" for n in range(n_labels)]

    head = learn(points, labels, names, TransferConfig(inverse_penalty=0.1), seed=1)

    scaler = StandardScaler().fit(points)
    learned = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1_000)
    learned.fit(scaler.transform(points), labels)
    assert tuple(names[:-1]) == head.words
    expected = learned.predict_proba(scaler.transform(points))
    np.testing.assert_allclose(expected, head.posteriors(points), atol=2e-3)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_a_dense_head_learns_what_no_line_can_tell(rng, n_labels):
    """
    Rings about one middle: a rectified layer tells them, logistic regression does not.
    """
    labels = np.repeat(np.arange(n_labels), 150)
    angles = rng.uniform(0, 2 * np.pi, len(labels))
    radii = 1.0 + 2 * labels + rng.normal(0, 0.1, len(labels))
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)
    names = [str(n) for n in range(n_labels)]

    dense, linear = (
        learn(points, labels, names, TransferConfig(head=head, inverse_penalty=10.0), seed=1)
        for head in ("dense", "logistic")
    )

    assert np.mean(dense.posteriors(points).argmax(axis=1) == labels) > 0.9
    assert np.mean(linear.posteriors(points).argmax(axis=1) == labels) < 0.7


def test_rare_labels_count_as_much_as_frequent_ones(rng):
    """
    With ten times the clips of the other, a label does not take its neighbour's ground.
    """
    points = rng.normal(0, 1, (550, 1)).astype(np.float32)
    labels = np.repeat([0, 1], [500, 50])
    points[labels == 1] += 2

    head = learn(points, labels, ("many", "few"), TransferConfig(inverse_penalty=10.0), seed=1)

    border = points[np.argmin(np.abs(head.posteriors(points)[:, 0] - 0.5)), 0]
    assert 0.7 < border < 1.3


@pytest.mark.parametrize(
    ("short", "expected"), [("pad", [1, 2, 3, 0, 0]), ("tile", [1, 2, 3, 1, 2])]
)
def test_a_short_clip_is_padded_or_said_again(short, expected):
    """
    As the recipe says, until the window is full.
    """
    clip = np.array([1, 2, 3], np.int16)

    found = windows_of(clip, n_samples=5, hop_samples=2, short=short)

    np.testing.assert_array_equal([expected], found)
    assert np.int16 == found.dtype


def test_an_empty_clip_is_silence():
    """
    There is nothing to say again.
    """
    found = windows_of(np.zeros(0, np.int16), n_samples=3, hop_samples=1, short="tile")

    np.testing.assert_array_equal([[0, 0, 0]], found)


@pytest.mark.parametrize(
    ("n", "firsts"), [(5, [0]), (6, [0]), (7, [0, 2]), (8, [0, 2]), (9, [0, 2, 4])]
)
def test_a_long_clip_has_all_its_whole_windows(n, firsts):
    """
    A hop apart, what is left over half before and half behind.
    """
    found = windows_of(np.arange(n, dtype=np.int16), n_samples=5, hop_samples=2, short="pad")

    np.testing.assert_array_equal([np.arange(first, first + 5) for first in firsts], found)


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
def test_nonsense_is_refused(key, value):
    """
    The message names the setting.
    """
    with pytest.raises(ConfigError, match=rf"transfer\.{key}"):
        TransferConfig(**{key: value})
