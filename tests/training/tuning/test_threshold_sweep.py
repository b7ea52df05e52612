"""Staircases of one keyword equal what the decision policy fires on it alone."""

import numpy as np
import pytest

from training.evaluation.stream_scores import FileScores, Tally, replay
from training.evaluation.truth import IGNORE, Event
from training.tuning.threshold_sweep import Hops, staircases, threshold_grid

LABELS = ("yes", "no", "_unknown_")
KEYWORDS = ("yes", "no")


def file_of(rng, name, n_hops=600):
    rows = rng.beta(0.4, 1.2, size=(n_hops, 3)).astype(np.float32)
    return FileScores(name, n_hops / 10, np.arange(n_hops) * 0.1 + 1.0, rows)


@pytest.mark.parametrize("suppression_s", [0.3, 0.5, 1.0])
def test_counts_are_the_policys(rng, suppression_s):
    """
    At every threshold: hits, double firings and false accepts of each keyword by file are those
    of a replay with this keyword alone, scored by the rules of `kws-eval stream`.
    """
    files = [file_of(rng, "a.wav"), file_of(rng, "b.wav", 300)]
    events = [
        Event("a.wav", "yes", 10.0, 10.6),
        Event("a.wav", "no", 20.0, 20.4),
        Event("a.wav", IGNORE, 30.0, 35.0),
        Event("b.wav", "yes", 5.0, 5.3),
        Event("b.wav", "yes", 9.0, 9.3),
    ]
    grid = np.array([0.5, 0.7, 0.9])

    hops = Hops.gather(files, events, LABELS, KEYWORDS)
    stairs = staircases(hops, grid, suppression_s=suppression_s)

    assert [[1, 2], [1, 0]] == hops.n_events.tolist()
    assert stairs.false_accepts.sum() > 60
    assert stairs.hits.sum() > 0
    for number, keyword in enumerate(KEYWORDS):
        for step, threshold in enumerate(grid):
            for place, scores in enumerate(files):
                tally = Tally()
                fired = replay(scores, LABELS, {keyword: threshold}, suppression_s=suppression_s)
                tally.add(scores.file, fired, [e for e in events if e.file == scores.file])
                here = (number, step, place)
                assert tally.hits.get(keyword, 0) == stairs.hits[here]
                # A second firing on a word is a false accept to the tally.
                false = stairs.false_accepts[here] + stairs.doubled[here]
                assert tally.false_accepts.get(keyword, 0) == false


def test_grid_is_dense_towards_one_and_ends_in_never():
    """
    Thresholds rise from the floor to 1, in steps that a manifest's three digits hold.
    """
    grid = threshold_grid(floor=0.4)

    assert (0.4, 1.0) == (grid[0], grid[-1])
    assert (np.diff(grid) > 0).all()
    assert grid[grid > 0.9].size > grid[(grid > 0.6) & (grid < 0.7)].size
