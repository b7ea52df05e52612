"""The scoring rules of long audio, on detections made by hand."""

import numpy as np
import pytest

from kws.decision.policy import Detection
from training.evaluation import stream_scores
from training.evaluation.stream_scores import FileScores, Tally
from training.evaluation.truth import IGNORE, Event

LABELS = ("yes", "no", "_unknown_")


def tally_of(detections, events):
    tally = Tally()
    tally.add("a.wav", [Detection(word, 0.9, time_s) for word, time_s in detections], events)
    return tally


@pytest.mark.parametrize("time_s", [2.0, 2.5, 3.5])
def test_detection_from_start_to_one_second_after_end_is_a_hit(time_s):
    """
    A detection hits its word from the word's start until 1.0 s after its end.
    """
    tally = tally_of([("yes", time_s)], [Event("a.wav", "yes", 2.0, 2.5)])

    assert {"yes": 1} == tally.hits
    assert {} == tally.false_accepts
    assert [pytest.approx(time_s - 2.5)] == tally.latencies_s


@pytest.mark.parametrize("time_s", [1.99, 3.51])
def test_detection_outside_is_a_false_accept_and_a_miss(time_s):
    """
    Too early or too late counts against the model twice: once heard, once missed.
    """
    tally = tally_of([("yes", time_s)], [Event("a.wav", "yes", 2.0, 2.5)])

    assert {} == tally.hits
    assert {"yes": 1} == tally.false_accepts
    assert ["yes"] == [event.keyword for event in tally.missed]


def test_second_hit_on_one_event_is_a_false_accept():
    """
    An utterance that fires twice costs a false accept.
    """
    tally = tally_of([("yes", 2.6), ("yes", 3.2)], [Event("a.wav", "yes", 2.0, 2.5)])

    assert {"yes": 1} == tally.hits
    assert {"yes": 1} == tally.false_accepts


def test_wrong_keyword_is_a_false_accept():
    """
    Hearing another keyword than the one spoken is no hit.
    """
    tally = tally_of([("no", 2.6)], [Event("a.wav", "yes", 2.0, 2.5)])

    assert {"no": 1} == tally.false_accepts
    assert {} == tally.hits


def test_ignored_span_counts_neither_way():
    """
    In an ignored span, grown by 1 s at its end, a detection is nothing; beyond it is false.
    """
    events = [Event("a.wav", IGNORE, 5.0, 6.0)]
    tally = tally_of([("no", 5.0), ("no", 7.0), ("no", 7.01)], events)

    assert {"no": 1} == tally.false_accepts
    assert {} == tally.events


def test_event_in_an_ignored_span_can_still_be_hit():
    """
    A true hit comes before ignoring.
    """
    events = [Event("a.wav", IGNORE, 0.0, 9.0), Event("a.wav", "yes", 2.0, 2.5)]

    assert {"yes": 1} == tally_of([("yes", 2.6)], events).hits


def test_two_words_in_reach_are_matched_in_order():
    """
    Two detections within reach of two events of the same word hit both.
    """
    events = [Event("a.wav", "yes", 2.0, 2.4), Event("a.wav", "yes", 3.0, 3.4)]

    assert {"yes": 2} == tally_of([("yes", 3.1), ("yes", 3.6)], events).hits


def scores_of(rows, duration_s=3600.0):
    rows = np.array(rows, dtype=np.float32)
    return FileScores("a.wav", duration_s, np.arange(len(rows)) * 0.1 + 1.0, rows)


def test_summary_counts_and_rates():
    """
    Rates are misses over events and false accepts over hours, per keyword too.
    """
    events = [Event("a.wav", "yes", 2.0, 2.5), Event("a.wav", "yes", 9.0, 9.5)]
    tally = tally_of([("yes", 2.75), ("no", 20.0), ("no", 30.0)], events)

    report = stream_scores.summarise(
        tally, hours=0.5, keywords=("yes", "no"), thresholds={"yes": 0.8, "no": 0.9}
    )

    assert (2, 1, 0.5) == (report["events"], report["hits"], report["false_reject_rate"])
    assert 4.0 == report["false_accepts_per_hour"]
    assert {"median": pytest.approx(0.25), "p95": pytest.approx(0.25)} == report["latency_s"]
    assert 2 == report["per_keyword"]["no"]["false_accepts"]
    assert report["per_keyword"]["no"]["false_reject_rate"] is None


def test_curve_trades_misses_for_false_accepts():
    """
    With a rising threshold misses never fall and false accepts never rise.
    """
    rng = np.random.default_rng(3)
    rows = np.zeros((2_000, 3))
    rows[200::20, :2] = rng.uniform(0, 0.7, size=(90, 2))
    rows[100:104, 0] = 0.95
    events = [Event("a.wav", "yes", 11.0, 11.2)]

    points = stream_scores.curve([scores_of(rows)], events, LABELS, suppression_s=0.5)

    misses = [point["false_reject_rate"] for point in points]
    false = [point["false_accepts_per_hour"] for point in points]
    assert sorted(misses) == misses
    assert 0.0 == misses[0]
    assert 1.0 == misses[-1]
    assert false[0] > 10
    assert 0 == false[-1]


def test_replay_equals_the_policy_hop_by_hop(rng):
    """
    Skipping the hops below all thresholds changes nothing.
    """
    from kws.decision.policy import DetectionPolicy

    scores = scores_of(rng.uniform(0, 1, size=(500, 3)))
    thresholds = {"yes": 0.8, "no": 0.9}
    policy = DetectionPolicy(LABELS, thresholds, suppression_s=0.3)
    every_hop = [policy.push(row, float(t)) for row, t in zip(scores.scores, scores.times_s)]

    replayed = stream_scores.replay(scores, LABELS, thresholds, suppression_s=0.3)

    assert [found for found in every_hop if found is not None] == replayed
    assert len(replayed) > 5
