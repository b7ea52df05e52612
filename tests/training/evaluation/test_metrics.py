"""Accuracy, precision, recall, F1, calibration and intervals, checked by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="metrics come with the extra [eval]")

from scipy.stats import binomtest, poisson

from training.evaluation.metrics import (
    classification_report,
    rate_interval,
    reliability,
    share_interval,
)

LABELS = ("yes", "no", "_unknown_")


def test_a_small_case_by_hand():
    """
    Rows of the confusion matrix are truth, columns predictions; a label without clips is 0.
    """
    report = classification_report([0, 0, 0, 0, 1], [0, 1, 1, 1, 1], LABELS)

    assert report["n"] == 5
    assert report["accuracy"] == pytest.approx(2 / 5)
    assert report["accuracy_interval_95"] == list(share_interval(2, 5))
    assert report["labels"] == ["yes", "no", "_unknown_"]
    assert report["confusion"] == [[1, 3, 0], [0, 1, 0], [0, 0, 0]]
    assert report["per_label"]["yes"] == pytest.approx(
        {"precision": 1, "recall": 1 / 4, "f1": 2 * 0.25 / 1.25, "n": 4}
    )
    assert report["per_label"]["no"] == pytest.approx(
        {"precision": 1 / 4, "recall": 1, "f1": 0.4, "n": 1}
    )
    assert report["per_label"]["_unknown_"] == {"precision": 0, "recall": 0, "f1": 0, "n": 0}


def test_values_are_plain():
    """
    The report goes into JSON as it is, without numpy values.
    """
    report = classification_report([0, 1], np.array([0, 1]), LABELS)

    assert type(report["accuracy"]) is float
    assert type(report["confusion"][0][0]) is int
    assert {type(value) for value in report["per_label"]["yes"].values()} == {float, int}


def test_calibration_error_is_the_weighted_distance():
    """
    By hand: bins (0.9, 1.0] with 3 of 4 correct and (0.6, 0.7] with the only clip correct.
    """
    posteriors = np.array([[0.95, 0.05]] * 4 + [[0.35, 0.65]], dtype=np.float32)

    found = reliability([0, 0, 0, 1, 1], posteriors)

    filled = [row for row in found["bins"] if row["n"]]
    assert [(0.6, 1, 1.0), (0.9, 4, 0.75)] == [
        (row["low"], row["n"], row["accuracy"]) for row in filled
    ]
    assert (4 * 0.20 + 0.35) / 5 == pytest.approx(found["expected_calibration_error"], abs=1e-6)
    assert 10 == len(found["bins"])
    assert {None} == {row["confidence"] for row in found["bins"] if not row["n"]}


@pytest.mark.parametrize(("part", "whole"), [(0, 20), (7, 41), (271, 726), (50, 50)])
def test_share_interval_is_wilsons(part, whole):
    """
    The interval of an accuracy or a miss rate is Wilson's, as scipy computes it.
    """
    expected = binomtest(part, whole).proportion_ci(method="wilson")

    assert share_interval(part, whole) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("count", [1, 4, 25])
def test_rate_interval_leaves_a_fortieth_outside_on_each_side(count):
    """
    At either end of the interval the probability of so extreme a count is 2.5 %.
    """
    low, high = rate_interval(count, 2.0)

    assert 0.025 == pytest.approx(poisson.sf(count - 1, 2 * low), abs=1e-9)
    assert 0.025 == pytest.approx(poisson.cdf(count, 2 * high), abs=1e-9)


def test_without_data_everything_is_possible():
    """
    No words: any share from 0 to 1. No audio: any rate. No event in 1 h: up to 3.689 per hour.
    """
    assert (0.0, 1.0) == share_interval(0, 0)
    assert (0.0, float("inf")) == rate_interval(0, 0.0)
    assert (0.0, pytest.approx(3.689, abs=5e-4)) == rate_interval(0, 1.0)
