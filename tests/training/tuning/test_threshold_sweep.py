"""The threshold sweep counts what `DetectionPolicy` detects for each keyword alone."""

import numpy as np
import pytest

from kws.decision.policy import DetectionPolicy
from training.evaluation.stream_scores import FileScores, tally_files
from training.evaluation.truth import IGNORE, OTHER, Event
from training.tuning.threshold_sweep import Hops, sweep_thresholds, threshold_grid

LABELS = ("yes", "no", "_unknown_")
KEYWORDS = ("yes", "no")
EVENTS = [
    Event("a.wav", "yes", 10.0, 10.6),
    Event("a.wav", "no", 20.0, 20.4),
    Event("a.wav", IGNORE, 30.0, 35.0),
    *(Event("a.wav", OTHER, start, start + 0.7) for start in np.arange(36.0, 58.0, 1.3)),
    Event("b.wav", "yes", 5.0, 5.3),
    Event("b.wav", "yes", 9.0, 9.3),
]


def file_of(rng, name, *, n_hops, hop_s):
    rows = rng.beta(0.4, 1.2, size=(n_hops, 3)).astype(np.float32)
    return FileScores(name, n_hops * hop_s, np.arange(n_hops) * hop_s + 1.0, rows)


@pytest.mark.parametrize("hop_s", [0.1, 0.08])
@pytest.mark.parametrize("suppression_s", [0.3, 0.8])
def test_counts_are_those_of_the_policy(rng, suppression_s, hop_s):
    """
    At every threshold, hits, double detections, false accepts and other words that fire equal
    those of the policy with this keyword alone, fed hop by hop and reset for each file.
    """
    files = [
        file_of(rng, "a.wav", n_hops=600, hop_s=hop_s),
        file_of(rng, "b.wav", n_hops=300, hop_s=hop_s),
    ]
    grid = np.array([0.5, 0.7, 0.97])

    hops = Hops.gather(files, EVENTS, LABELS, KEYWORDS)
    counts = sweep_thresholds(hops, grid, suppression_s=suppression_s)

    assert [3, 1] == hops.n_events.tolist()
    assert counts.false_accepts.sum() > 60
    assert counts.hits.sum() > 0
    assert 0 < counts.fired[:, -1].max() < counts.fired[:, 0].max() <= 17
    for number, keyword in enumerate(KEYWORDS):
        for step, threshold in enumerate(grid):
            policy = DetectionPolicy(LABELS, {keyword: threshold}, suppression_s=suppression_s)
            fired = {}
            for file in files:
                policy.reset()
                pushed = (policy.push(row, t) for row, t in zip(file.scores, file.times_s))
                fired[file.file] = [found for found in pushed if found]
            tally = tally_files(fired.items(), EVENTS)
            assert tally.hits.get(keyword, 0) == counts.hits[number, step]
            # The tally counts a second detection of a word as a false accept.
            false = counts.false_accepts[number, step] + counts.doubled[number, step]
            assert tally.false_accepts.get(keyword, 0) == false
            assert tally.fired == counts.fired[number, step]


def test_grid_is_dense_towards_one_and_ends_there():
    """
    Thresholds rise from 0.2 to 1, with at most the three digits of a manifest.
    """
    grid = threshold_grid()

    assert (0.2, 1.0) == (grid[0], grid[-1])
    assert (np.diff(grid) > 0).all()
    assert grid[grid > 0.9].size > grid[(grid > 0.6) & (grid < 0.7)].size
