"""The scoring rules of long audio, on detections made by hand."""

import numpy as np
import pytest

from kws.decision.policy import Detection
from training.evaluation.stream_scores import FileScores, Tally, curve, summarise, tally_files
from training.evaluation.truth import IGNORE, OTHER, Event

LABELS = ("yes", "no", "_unknown_")
YES = Event("a.wav", "yes", 2.0, 2.5)
SPAN = Event("a.wav", IGNORE, 0.0, 9.0)


def tally_of(detections, events):
    found = [Detection(word, 0.9, time_s) for word, time_s in detections]
    return tally_files([("a.wav", found)], events)


@pytest.mark.parametrize(
    ("detections", "events", "hits", "false_accepts"),
    [
        # From the start of the word to 1 s after its end.
        *(([("yes", time_s)], [YES], {"yes": 1}, {}) for time_s in (2.0, 2.5, 3.5)),
        *(([("yes", time_s)], [YES], {}, {"yes": 1}) for time_s in (1.99, 3.51)),
        # A second detection of the same word, and another keyword.
        ([("yes", 2.6), ("yes", 3.2)], [YES], {"yes": 1}, {"yes": 1}),
        ([("no", 2.6)], [YES], {}, {"no": 1}),
        # In an ignored span, extended by 1 s, only hits count.
        ([("no", 0.0), ("no", 10.0), ("no", 10.01)], [SPAN], {}, {"no": 1}),
        ([("yes", 2.6)], [SPAN, YES], {"yes": 1}, {}),
        # Two words within reach of both detections.
        (
            [("yes", 3.1), ("yes", 3.6)],
            [Event("a.wav", "yes", 2.0, 2.4), Event("a.wav", "yes", 3.0, 3.4)],
            {"yes": 2},
            {},
        ),
        # Words of another file.
        ([("yes", 2.6)], [Event("b.wav", "yes", 2.0, 2.5)], {}, {"yes": 1}),
    ],
)
def test_detections_are_matched_with_words(detections, events, hits, false_accepts):
    """
    Each rule by hand: which detections are hits, and which are false accepts.
    """
    tally = tally_of(detections, events)

    assert hits == tally.hits
    assert false_accepts == tally.false_accepts


def test_a_missed_word_is_listed_and_tallies_add_up():
    """
    Words without a detection are missed; counts of two tallies are added by keyword.
    """
    one, other = tally_of([], [YES]), tally_of([("yes", 2.75), ("no", 8.0)], [YES])

    both = one + other

    assert [YES] == one.missed == both.missed
    assert ({"yes": 2}, {"yes": 1}, {"no": 1}) == (both.events, both.hits, both.false_accepts)
    assert [pytest.approx(0.25)] == both.latencies_s
    assert both == both + Tally()


def test_summary_counts_and_rates():
    """
    Rates are misses over words and false accepts over hours, in total and per keyword.
    """
    tally = tally_of(
        [("yes", 2.75), ("no", 20.0), ("no", 30.0)], [YES, Event("a.wav", "yes", 9.0, 9.5)]
    )

    report = summarise(
        tally, tally, hours=0.5, keywords=("yes", "no"), thresholds={"yes": 0.8, "no": 0.9}
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
    rows = np.zeros((2_000, 3), dtype=np.float32)
    rows[200::20, :2] = rng.uniform(0, 0.7, size=(90, 2))
    rows[100:104, 0] = 0.95
    scores = FileScores("a.wav", 3600.0, np.arange(2_000) * 0.1 + 1.0, rows)

    points = curve([scores], [Event("a.wav", "yes", 11.0, 11.2)], LABELS, suppression_s=0.5)

    misses = [point["false_reject_rate"] for point in points]
    false = [point["false_accepts_per_hour"] for point in points]
    assert sorted(misses) == misses
    assert (0.0, 1.0) == (misses[0], misses[-1])
    assert false[0] > 10
    assert 0 == false[-1]


def test_an_other_word_fires_once_and_is_never_missed():
    """
    A false accept within a second of another word is that word's firing, of two such words that
    of the later one; a hit is none.
    """
    spans = ((2.0, 2.5), (3.0, 3.4), (8.0, 8.5))
    others = [Event("a.wav", OTHER, start, end) for start, end in spans]

    tally = tally_of([("no", 3.2), ("no", 3.6), ("yes", 20.0)], [YES, *others])

    assert (3, 1) == (tally.others, tally.fired)
    assert {"no": 2, "yes": 1} == tally.false_accepts
    assert [YES] == tally.missed
    hit = tally_of([("yes", 2.4)], [YES, *others])
    assert (1, 0) == (hit.hits["yes"], hit.fired)
