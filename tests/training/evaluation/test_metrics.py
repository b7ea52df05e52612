"""Accuracy, precision, recall, F1 and confusion, checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="metrics come with the extra [eval]")

from training.evaluation.metrics import accuracy_interval, argmax, classification_report

LABELS = ("yes", "no", "_unknown_")


def test_a_small_case_by_hand():
    """
    Rows of the confusion matrix are truth, columns predictions; ratios follow from it.
    """
    truth = [0, 0, 0, 1, 1, 2]
    predicted = [0, 0, 1, 1, 0, 2]
    report = classification_report(truth, predicted, LABELS)

    assert report["n"] == 6
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["labels"] == ["yes", "no", "_unknown_"]
    assert report["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert report["per_label"]["yes"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "n": 3}
    )
    assert report["per_label"]["no"] == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "n": 2}
    )


def test_precision_and_recall_are_not_mixed_up():
    """
    Precision is over what was predicted, recall over what was spoken.
    """
    report = classification_report([0, 0, 0, 0, 1], [0, 1, 1, 1, 1], LABELS)

    assert report["per_label"]["yes"]["precision"] == 1
    assert report["per_label"]["yes"]["recall"] == pytest.approx(1 / 4)
    assert report["per_label"]["yes"]["f1"] == pytest.approx(2 * 0.25 / 1.25)
    assert report["per_label"]["no"]["precision"] == pytest.approx(1 / 4)
    assert report["per_label"]["no"]["recall"] == 1


def test_a_label_that_never_comes_is_zero():
    """
    A ratio of nothing to nothing is 0, without a warning, and its row is there.
    """
    report = classification_report([0, 1], [0, 1], LABELS)

    assert report["per_label"]["_unknown_"] == {"precision": 0, "recall": 0, "f1": 0, "n": 0}
    assert report["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_values_are_plain():
    """
    The report goes into JSON as it is: no numpy values.
    """
    report = classification_report([0, 1], [0, 1], LABELS)

    assert type(report["accuracy"]) is float
    assert type(report["confusion"][0][0]) is int
    assert {type(value) for value in report["per_label"]["yes"].values()} == {float, int}


@pytest.mark.parametrize(
    ("accuracy", "n", "low", "high"),
    [(0.5, 100, 0.4038, 0.5962), (0.9, 10, 0.5958, 0.9821), (1.0, 50, 0.9287, 1.0), (0, 0, 0, 1)],
)
def test_interval_is_wilsons(accuracy, n, low, high):
    """
    Published values of the 95 % Wilson score interval; nothing known is anything from 0 to 1.
    """
    assert accuracy_interval(accuracy, n) == pytest.approx((low, high), abs=2e-4)


def test_the_best_label_wins():
    """
    Each row's largest posterior is its prediction; of equals the first.
    """
    posteriors = np.array([[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]], dtype=np.float32)

    assert argmax(posteriors) == [1, 0]
