"""Thresholds, suppression, and one detection per utterance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kws.decision.policy import Detection, DetectionPolicy, count_firings
from kws.errors import ConfigError

LABELS = ("yes", "no", "_unknown_")


def policy(thresholds=None, suppression_s=0.5) -> DetectionPolicy:
    thresholds = thresholds or {"yes": 0.75, "no": 0.75}
    return DetectionPolicy(LABELS, thresholds, suppression_s=suppression_s)


def run(target: DetectionPolicy, rows: list[list[float]], hop_s: float = 0.1) -> list[tuple]:
    """Push one row of scores a hop and return (keyword, hop) of each detection."""
    found = []
    for hop, row in enumerate(rows):
        detection = target.push(np.array(row, dtype=np.float32), hop * hop_s)
        if detection is not None:
            found.append((detection.keyword, hop))
    return found


def test_fires_at_the_threshold_and_not_below():
    """
    A score equal to the threshold fires; the next lower float does not.
    """
    below = np.nextafter(np.float32(0.75), np.float32(0))

    assert policy().push(np.array([0.75, 0, 0], dtype=np.float32), 2.5) == Detection(
        "yes", 0.75, 2.5
    )
    assert policy().push(np.array([below, 0, 0], dtype=np.float32), 2.5) is None


def test_a_long_utterance_fires_once():
    """
    A score above the threshold for longer than the suppression is still one detection.
    """
    assert run(policy(), [[0.9, 0, 0]] * 30) == [("yes", 0)]


def test_a_dip_shorter_than_the_suppression_does_not_fire_again():
    """
    The suppression starts again whenever the score is back at the threshold.
    """
    up, down = [0.9, 0, 0], [0.1, 0, 0]

    assert run(policy(), [up, *[down] * 3, up, *[down] * 3, up]) == [("yes", 0)]


def test_a_repeated_word_fires_again():
    """
    After the suppression time below the threshold the keyword can fire again.
    """
    up, down = [0.9, 0, 0], [0.1, 0, 0]

    assert run(policy(), [up, up, *[down] * 5, up]) == [("yes", 0), ("yes", 7)]


def test_the_suppression_time_is_exact():
    """
    The keyword can fire exactly the suppression time after its last high score, not sooner.
    """
    up, down = [0.9, 0, 0], [0.1, 0, 0]

    assert run(policy(), [up, down, up], hop_s=0.25) == [("yes", 0), ("yes", 2)]
    assert run(policy(), [up, down, up], hop_s=0.249) == [("yes", 0)]


def test_suppression_does_not_depend_on_the_stream_time():
    """
    Two hops of suppression end after two hops, in the first second and after a week.
    """
    up = np.array([0.9, 0, 0], dtype=np.float32)

    for start in (0, 1, 16_001, 12_345_679, 9_676_800_000):
        target = policy(suppression_s=0.2)
        assert target.push(up, start / 16_000) is not None
        assert target.push(up, (start + 1_600) / 16_000) is None
        assert target.push(up, (start + 4_800) / 16_000) is not None


def test_without_suppression_every_hop_fires():
    """
    With a suppression of 0 every hop at the threshold fires.
    """
    assert run(policy(suppression_s=0), [[0.9, 0, 0]] * 3) == [("yes", 0), ("yes", 1), ("yes", 2)]


def test_another_word_fires_during_the_suppression():
    """
    Suppression is per keyword: "no" right after "yes" fires.
    """
    assert run(policy(), [[0.9, 0.05, 0], [0.05, 0.9, 0]]) == [("yes", 0), ("no", 1)]


def test_the_best_keyword_fires_and_suppresses_the_others():
    """
    If two keywords reach their thresholds, only the better one fires.
    """
    target = policy({"yes": 0.3, "no": 0.3})

    assert run(target, [[0.4, 0.5, 0.1], [0.5, 0.4, 0.1]]) == [("no", 0)]


def test_a_better_label_that_may_not_fire_does_not_hide_a_keyword():
    """
    Only keywords above their own threshold compete.
    """
    target = policy({"yes": 0.3, "no": 0.9})

    assert run(target, [[0.35, 0.6, 0.05]]) == [("yes", 0)]


def test_labels_without_threshold_never_fire():
    """
    Labels that are not named, such as _unknown_, do not fire at any score.
    """
    assert run(policy({"yes": 0.5}), [[0, 0, 1.0], [0, 1.0, 0]]) == []


def test_reset_equals_new():
    """
    After reset a keyword may fire at once, also at an earlier time.
    """
    target = policy()
    target.push(np.array([0.9, 0, 0], dtype=np.float32), 100.0)
    target.reset()

    assert run(target, [[0.9, 0, 0]]) == [("yes", 0)]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"maybe": 0.5}, "keyword 'maybe': expected one of yes, no$"),
        ({"yes": 0.0}, "threshold of yes: expected above 0 and up to 1, got 0"),
        ({"yes": 1.5}, "threshold of yes: expected above 0 and up to 1, got 1.5"),
        ({"no": float("nan")}, "threshold of no: .* got nan"),
    ],
)
def test_nonsense_is_refused(thresholds, message):
    """
    Unknown keywords and thresholds out of range are named.
    """
    with pytest.raises(ConfigError, match=message):
        DetectionPolicy(LABELS, thresholds, suppression_s=0.5)


def test_a_detection_is_a_frozen_value():
    """
    Detections compare by value and cannot be changed, so callbacks may share them.
    """
    detection = Detection("yes", 0.9, 1.5)

    assert detection == Detection("yes", 0.9, 1.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        detection.score = 1.0


@pytest.mark.parametrize("suppression_s", [0.0, 0.08, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("hop_s", [0.01, 0.08, 0.1])
def test_replay_and_counting_fire_as_push_does(rng, suppression_s, hop_s):
    """
    A recording replayed at once gives the detections of hop-by-hop pushing, for all keywords
    together and for one alone, whether its scores repeat the threshold or cross it.
    """
    scores = rng.integers(0, 5, (3_000, 3)).astype(np.float32) / 4
    target = policy({"yes": 0.75, "no": 0.5}, suppression_s)
    times_s = (16_000 + np.arange(3_000) * round(hop_s * 16_000)) / 16_000
    pushed = [target.push(row, float(time_s)) for row, time_s in zip(scores, times_s)]
    alone = policy({"yes": 1.0}, suppression_s).replay(scores, times_s)

    assert target.replay(scores, times_s) == [found for found in pushed if found is not None]
    assert len(alone) == count_firings(scores[:, 0], 1.0, hop_s=hop_s, suppression_s=suppression_s)


def test_counting_compares_scores_with_a_threshold_between_two_floats():
    """
    A float32 score below a float64 threshold does not fire, however near it is.
    """
    score = np.float32(0.7)
    above = float(score) + 1e-12

    assert count_firings(np.array([score]), float(score), hop_s=0.1, suppression_s=0.5) == 1
    assert count_firings(np.array([score]), above, hop_s=0.1, suppression_s=0.5) == 0
    assert count_firings(np.zeros(0, np.float32), 0.5, hop_s=0.1, suppression_s=0.5) == 0
