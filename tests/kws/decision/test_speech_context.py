"""The penalty on keywords that follow other speech."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from kws import KeywordSpotter, models
from kws.audio.files import read_file
from kws.config import DecisionConfig
from kws.decision.speech_context import SpeechContext
from kws.errors import ConfigError
from kws.inference.select import open_form

LABELS = ("on", "off", "_unknown_", "_silence_")
SPEECH = np.array([0, 0, 1, 0], dtype=np.float32)
QUIET = np.array([0, 0, 0, 1], dtype=np.float32)
SCORES = np.array([0.8, 0.8, 0.1, 0.1], dtype=np.float32)


def context(**weights: float) -> SpeechContext:
    return SpeechContext(LABELS, DecisionConfig(context_weights=weights), hop_ms=100)


@pytest.fixture
def weighing():
    """Return the shipped model with a context of weight 3, and one without."""
    manifest = models.load("default")

    def spotter(weight: float) -> KeywordSpotter:
        weights = dict.fromkeys(manifest.keywords, weight)
        decision = dataclasses.replace(manifest.decision, context_weights=weights)
        changed = dataclasses.replace(manifest, decision=decision)
        model = open_form(
            changed, hop_ms=None, mode="auto", runtime=None, kernels="default", n_threads=1
        )
        return KeywordSpotter(changed, model, thresholds=decision.thresholds)

    return spotter


def every_hop(spotter: KeywordSpotter, samples: np.ndarray) -> list[tuple[float, list[float]]]:
    hops = []
    spotter.on_posterior = lambda time_s, _, scores: hops.append(
        (time_s, None if scores is None else scores.tolist())
    )
    spotter.process(samples)
    return hops


def test_after_quiet_scores_are_what_they_were():
    """
    Nothing but quiet before: nothing is taken off.
    """
    heard = context(on=3.0)
    for _ in range(100):
        heard.push(QUIET)

    np.testing.assert_allclose(SCORES, heard.apply(SCORES), rtol=1e-6)


def test_after_nothing_but_speech_the_log_odds_fall_by_the_weight():
    """
    Ten time constants of other speech: the keyword's log odds are 3 lower, other labels' as before.
    """
    heard = context(on=3.0)
    for _ in range(205):
        heard.push(SPEECH)
    weighed = heard.apply(SCORES)

    assert math.log(0.8 / 0.2) - 3.0 == pytest.approx(
        math.log(weighed[0] / (1 - weighed[0])), abs=1e-3
    )
    np.testing.assert_allclose(SCORES[1:], weighed[1:], rtol=1e-6)
    assert np.float32 == weighed.dtype


def test_the_newest_posteriors_do_not_count_yet():
    """
    Speech counts half a second late, because the newest windows hold the word itself; then it
    counts by its share of the time constant.
    """
    heard = context(on=3.0)
    late = [heard.push(SPEECH) for _ in range(7)]
    share = 1 - math.exp(-0.1 / 2)

    assert [0.0] * 5 == late[:5]
    assert [share, share + share * (1 - share)] == pytest.approx(late[5:])


def test_speech_is_forgotten():
    """
    Two seconds after speech has ended (and half a second late) a third of it still counts, 1/e;
    after twenty none.
    """
    heard = context(on=3.0)
    for _ in range(205):
        heard.push(SPEECH)
    after = [heard.push(QUIET) for _ in range(205)]

    assert 1 / math.e == pytest.approx(after[24], abs=1e-3)
    assert after[204] < 1e-4


def test_a_hop_that_nobody_listened_to_is_quiet():
    """
    Passing over a hop does what a posterior without `_unknown_` does.
    """
    skipped, pushed = context(on=3.0), context(on=3.0)
    for one in (skipped, pushed):
        one.push(SPEECH)
    for _ in range(6):
        skipped.skip()
        pushed.push(QUIET)

    assert skipped.push(QUIET) == pushed.push(QUIET) > 0


def test_reset_equals_new():
    """
    Speech before a reset does not count.
    """
    heard = context(on=3.0)
    for _ in range(50):
        heard.push(SPEECH)
    heard.reset()

    assert 0.0 == heard.push(QUIET)
    np.testing.assert_allclose(SCORES, heard.apply(SCORES), rtol=1e-6)


def test_one_by_one_and_in_one_go_give_the_same_last_bit(rng):
    """
    Scores of a whole recording are those of its hops, one by one.
    """
    posteriors = rng.random((300, 4)).astype(np.float32)
    scores = rng.random((297, 4)).astype(np.float32)
    hop_by_hop = context(on=3.0, off=1.5)
    expected = []
    for hop, posterior in enumerate(posteriors):
        hop_by_hop.push(posterior)
        if hop >= 3:
            expected.append(hop_by_hop.apply(scores[hop - 3]))

    np.testing.assert_array_equal(
        expected, context(on=3.0, off=1.5).apply_to_recording(posteriors, scores)
    )


def test_longer_hops_leave_out_no_less_of_the_newest():
    """
    Half a second that is no whole number of hops is rounded up: the word's own window never
    counts.
    """
    for hop_ms, n_late in ((100, 5), (200, 3), (400, 2), (1_000, 1), (2_000, 1)):
        heard = SpeechContext(LABELS, DecisionConfig(context_weights={"on": 3.0}), hop_ms=hop_ms)
        assert [0.0] * n_late == [heard.push(SPEECH) for _ in range(n_late)], hop_ms
        assert heard.push(SPEECH) > 0, hop_ms


def test_certain_and_impossible_stay_so():
    """
    A score of exactly 0 or 1 has no odds to lose, and makes no warning; one that rounding has
    put above 1 stays 1.
    """
    heard = context(on=3.0, off=3.0)
    for _ in range(50):
        heard.push(SPEECH)

    assert [0.0, 1.0] == heard.apply(np.float32([0, 1, 0, 0]))[:2].tolist()
    assert 1.0 == heard.apply(np.float32([1.0000001, 0, 0, 0]))[0]


def test_without_weights_scores_pass_as_they_are():
    """
    A decision that weighs nothing changes nothing, and needs no label of other speech.
    """
    for decision in (DecisionConfig(), DecisionConfig(context_weights={"on": 0})):
        heard = SpeechContext(("on", "off"), decision, hop_ms=100)
        for _ in range(50):
            assert 0.0 == heard.push(SPEECH[:2])
        assert not heard.is_active
        np.testing.assert_array_equal(SCORES[:2], heard.apply(SCORES[:2]))
    assert SpeechContext(LABELS, DecisionConfig(context_weights={"on": 1}), hop_ms=100).is_active


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_weights": {"on": -1}}, r"context weight of on: expected 0 to 20, got -1"),
        ({"context_weights": {"on": "3"}}, r"context weight of on: expected 0 to 20, got 3"),
        ({"context_weights": {"on": True}}, r"context weight of on: expected 0 to 20, got True"),
        ({"context_weights": {"on": math.nan}}, "context weight of on"),
        ({"context_ms": 0}, r"context_ms: expected 1 to 60000, got 0"),
        ({"context_delay_ms": -1}, r"context_delay_ms: expected 0 to 5000, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    """
    One line names the label, what was expected and what was found.
    """
    with pytest.raises(ConfigError, match=message):
        DecisionConfig(**changes)


def test_a_command_after_speech_needs_more_than_one_after_quiet(weighing):
    """
    Over the demo recording no keyword scores more than without a context, and some less: those
    that come after the recording's other words.
    """
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
    weighed = every_hop(weighing(3.0), demo)
    plain = every_hop(weighing(0.0), demo)
    keywords = range(len(models.load("default").keywords))
    best = [(a, b) for (_, a), (_, b) in zip(weighed, plain) if a is not None]

    assert [time_s for time_s, _ in plain] == [time_s for time_s, _ in weighed]
    assert all(a[k] <= b[k] + 1e-6 for a, b in best for k in keywords)
    assert any(a[k] < b[k] - 0.1 for a, b in best for k in keywords)


def test_audio_shorter_than_a_window_is_heard_to_its_end(weighing):
    """
    The first word of the demo cut out by itself fires at the flush, as without a context.
    """
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
    word = demo[int(0.9 * 16_000) : int(1.55 * 16_000)]
    fired = []
    for weight in (0.0, 3.0):
        spotter = weighing(weight)
        assert [] == spotter.process(word)
        fired.append([one.keyword for one in spotter.flush()])

    assert [["yes"], ["yes"]] == fired


def test_lost_audio_and_reset_forget_what_was_heard(weighing):
    """
    After a gap, and after a reset, scores are those of a new spotter.
    """
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))[: 10 * 16_000]
    spotter = weighing(3.0)
    expected = [scores for _, scores in every_hop(spotter, demo)]

    spotter.skip(8_000)
    assert expected == [scores for _, scores in every_hop(spotter, demo)]
    spotter.reset()
    assert expected == [scores for _, scores in every_hop(spotter, demo)]
