"""Reliability against a count by hand."""

import numpy as np
import pytest

from training.evaluation.metrics import reliability


def test_error_against_a_hand_count():
    """
    Three clips at 0.85 of which two are right, one at 0.55 that is wrong.
    """
    posteriors = np.array(
        [[0.85, 0.15], [0.85, 0.15], [0.15, 0.85], [0.45, 0.55]], dtype=np.float32
    )

    found = reliability([0, 1, 1, 0], posteriors)

    expected = 3 / 4 * abs(2 / 3 - 0.85) + 1 / 4 * abs(0 - 0.55)
    assert expected == pytest.approx(found["expected_calibration_error"], abs=1e-6)
    assert [0, 0, 0, 0, 0, 1, 0, 0, 3, 0] == [row["n"] for row in found["bins"]]
    assert 2 / 3 == pytest.approx(found["bins"][8]["accuracy"])
    assert found["bins"][0]["accuracy"] is None


def test_sure_and_right_has_no_error():
    """
    Full confidence that is always right is perfect, and falls into the last bin.
    """
    posteriors = np.eye(3, dtype=np.float32)

    found = reliability([0, 1, 2], posteriors)

    assert 0.0 == found["expected_calibration_error"]
    assert 3 == found["bins"][-1]["n"]
