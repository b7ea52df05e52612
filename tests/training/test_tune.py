"""Thresholds for a stated false-accept rate."""

import numpy as np

from training import tune
from training.stream_scores import FileScores
from training.truth import IGNORE, Event

LABELS = ("yes", "no", "_unknown_")


def file_with(peaks, n_hops=1_000):
    rows = np.zeros((n_hops, 3), dtype=np.float32)
    for hop, label, score in peaks:
        rows[hop : hop + 2, label] = score
    return FileScores("a.wav", 3600.0, np.arange(n_hops) * 0.1, rows)


def test_each_stretch_is_one_peak_and_ignored_ones_are_left_out():
    """
    Hops within the suppression time belong together; ignored spans do not count.
    """
    scores = file_with([(100, 0, 0.7), (103, 0, 0.9), (300, 1, 0.8), (500, 1, 0.95)])
    events = [Event("a.wav", IGNORE, 49.5, 50.5)]

    peaks = tune.false_peaks([scores], events, LABELS, floor=0.5, suppression_s=0.5)

    assert [("yes", 0.9), ("no", 0.8)] == [(word, round(score, 3)) for score, word in peaks]


def test_thresholds_leave_the_allowed_number_and_no_more():
    """
    The highest false accepts up to the allowed number stay; all others fall below.
    """
    peaks = [(0.9, "yes"), (0.8, "no"), (0.7, "yes"), (0.6, "no")]

    thresholds = tune.choose_thresholds(
        peaks, ("yes", "no", "go"), hours=2.0, per_hour=0.5, floor=0.5
    )

    assert {"yes": 0.71, "no": 0.81, "go": 0.5} == thresholds
    assert 1 == sum(score >= thresholds[word] for score, word in peaks)
