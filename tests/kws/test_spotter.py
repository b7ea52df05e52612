"""Samples in, detections out."""

from __future__ import annotations

import numpy as np
import pytest

from kws import KeywordSpotter, log_mel
from kws.decision.policy import Detection
from kws.errors import AudioError, ConfigError, ModelError

SECOND = 16_000


def test_a_word_is_detected_with_keyword_score_and_time(loud_spotter, bursts):
    """
    The tone from 2.0 s on fills most of the hop that ends at 2.095 s; two more fill the smoothing.
    """
    spotter = loud_spotter(smoothing_ms=300)
    detections = spotter.process(bursts([(2.0, 2.6)], length_s=5))

    assert detections == [Detection("yes", 1.0, 2.295)]


def test_silence_gives_no_detection(loud_spotter, bursts):
    """
    No word, no detection, and an empty list rather than None.
    """
    spotter = loud_spotter()

    assert spotter.process(bursts([], length_s=3)) == []
    assert spotter.process(np.zeros(0, dtype=np.int16)) == []


def test_the_hook_gets_each_hop_with_its_time(loud_spotter, bursts):
    """
    `on_posterior` is called at every hop: at the first full window, then every 100 ms; scores
    are None until the smoothing is filled.
    """
    spotter = loud_spotter(smoothing_ms=300)
    hops = []
    spotter.on_posterior = lambda time_s, posterior, scores: hops.append(
        (time_s, posterior.tolist(), scores is None)
    )
    spotter.process(bursts([], length_s=1.5))

    assert [time_s for time_s, _, _ in hops] == [
        pytest.approx(0.995 + 0.1 * hop) for hop in range(6)
    ]
    assert [unknown for _, _, unknown in hops] == [True, True, False, False, False, False]
    assert all(posterior == [0, 0, 1] for _, posterior, _ in hops)


def test_time_counts_samples(loud_spotter, bursts):
    """
    time_s is audio fed, to the sample, lost samples included.
    """
    spotter = loud_spotter()
    spotter.process(np.zeros(12_345, dtype=np.int16))

    assert spotter.time_s == 12_345 / SECOND

    spotter.skip(5)

    assert spotter.time_s == 12_350 / SECOND


def test_flush_detects_a_word_at_the_very_end(loud_spotter, bursts):
    """
    Silence after the end completes the last hop, so the last word fires; then all is reset.
    """
    spotter = loud_spotter(smoothing_ms=100)
    audio = bursts([(2.91, 2.99)], length_s=2.99)

    assert spotter.process(audio) == []
    assert [found.keyword for found in spotter.flush()] == ["yes"]
    assert spotter.time_s == 0


def test_flush_processes_audio_shorter_than_a_window(default_manifest, demo_audio):
    """
    A file of half a second gives posteriors at its end: one window and the smoothing of silence.
    """
    spotter = KeywordSpotter.from_model("default")
    hops = []
    spotter.on_posterior = lambda time_s, posterior, scores: hops.append((time_s, scores))
    spotter.process(demo_audio[: SECOND // 2])

    assert hops == []

    spotter.flush()

    assert len(hops) >= spotter.smoother.n_posteriors
    assert hops[-1][1].shape == (12,)


def test_flush_detects_a_word_shorter_than_a_window(loud_spotter, bursts):
    """
    A clip shorter than a window that ends in a word fires at the end of the input.
    """
    spotter = loud_spotter(smoothing_ms=100)
    audio = bursts([(0.2, 0.98)], length_s=0.98)

    assert spotter.process(audio) == []
    assert [found.keyword for found in spotter.flush()] == ["yes"]
    assert spotter.time_s == 0


@pytest.mark.parametrize("hop_ms", [10, 50, 100, 200, 1_000])
def test_the_hop_is_the_time_between_posteriors(demo_audio, hop_ms):
    """
    From the first full window on there is a posterior every `hop_ms`.
    """
    spotter = KeywordSpotter.from_model("default", hop_ms=hop_ms)
    times = []
    spotter.on_posterior = lambda time_s, posterior, scores: times.append(time_s)
    spotter.process(demo_audio[: 3 * SECOND])

    expected = np.arange(0.995, 3.0, hop_ms / 1_000)

    assert spotter.hop_ms == hop_ms
    np.testing.assert_allclose(times, expected)


def test_a_hop_longer_than_the_window_works_beyond_a_minute(demo_audio):
    """
    A hop of a second or more, longer than the window, works beyond the first minute.
    """
    spotter = KeywordSpotter.from_model("default", hop_ms=2_000)
    times = []
    spotter.on_posterior = lambda time_s, posterior, scores: times.append(time_s)
    for _ in range(6):
        spotter.process(np.resize(demo_audio, 10 * SECOND))

    np.testing.assert_allclose(times, np.arange(0.995, 60, 2))


def test_only_the_keywords_asked_for_fire(demo_audio):
    """
    keywords= limits what may fire; the others stay silent at any score.
    """
    everything = KeywordSpotter.from_model("default", thresholds=0.05)
    heard = {found.keyword for found in everything.process(demo_audio)}
    one = sorted(heard)[0]
    limited = KeywordSpotter.from_model("default", thresholds=0.05, keywords=[one])

    assert len(heard) > 1
    assert {found.keyword for found in limited.process(demo_audio)} == {one}
    assert limited.keywords == (one,)


def test_a_threshold_for_one_keyword_leaves_the_others(default_manifest):
    """
    A mapping changes the keywords it names, a number all of them.
    """
    own = KeywordSpotter.from_model("default", thresholds={"yes": 0.25}).thresholds
    common = KeywordSpotter.from_model("default", thresholds=0.25).thresholds

    assert own["yes"] == 0.25
    assert own["no"] == default_manifest.decision.threshold("no")
    assert common == dict.fromkeys(default_manifest.keywords, 0.25)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"hop_ms": 105}, ConfigError, "hop_ms: expected 10 to 2000 and a multiple of 10, got 105"),
        ({"hop_ms": 0}, ConfigError, "hop_ms: expected 10 to 2000 and a multiple of 10, got 0"),
        ({"hop_ms": -10}, ConfigError, "hop_ms: expected 10 to 2000 and a multiple of 10, got -10"),
        ({"mode": "magic"}, ConfigError, "mode: expected one of auto, stream, window, got 'magic'"),
        (
            {"thresholds": {"maybe": 0.5}},
            ConfigError,
            "keyword 'maybe': model 'default' knows yes, no",
        ),
        (
            {"thresholds": {"_unknown_": 0.5}},
            ConfigError,
            "keyword '_unknown_': model 'default' knows yes",
        ),
        ({"keywords": ["maybe"]}, ConfigError, "keyword 'maybe': model 'default' knows yes, no"),
        ({"thresholds": 1.5}, ConfigError, "expected above 0 and up to 1, got 1.5"),
        ({"thresholds": {"yes": 0}}, ConfigError, "threshold of yes: .* got 0"),
        ({"name_or_path": "nope"}, ModelError, "model 'nope': expected one of default"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, error, message):
    """
    Wrong settings are errors of ours that name value and choices.
    """
    with pytest.raises(error, match=message):
        KeywordSpotter.from_model(**settings)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(10, dtype=np.float32), np.zeros((10, 1), dtype=np.int16), b"\0\0", [0, 0]],
)
def test_only_int16_mono_is_accepted(loud_spotter, samples):
    """
    Other types and shapes are refused.
    """
    with pytest.raises(AudioError, match="expected an int16 array"):
        loud_spotter().process(samples)


def test_the_example_of_the_documentation_holds(demo_audio):
    """
    The names that design and README show: process, and model.predict on one window of log-mel.
    """
    spotter = KeywordSpotter.from_model("default")
    window = log_mel(demo_audio[:SECOND], spotter.manifest.frontend)
    posteriors = spotter.model.predict(window)

    assert window.shape == (98, 40)
    assert posteriors.shape == (12,)
    assert posteriors.sum() == pytest.approx(1, abs=0.05)


def test_flush_detects_a_word_at_the_start_of_short_audio(loud_spotter, bursts):
    """
    Audio that ends before the smoothing span is full is processed with silence before it;
    its times stay those of the audio itself.
    """
    spotter = loud_spotter(smoothing_ms=500)
    tone = bursts([(0.0, 0.9)], length_s=0.9)

    found = spotter.process(tone) + spotter.flush()

    assert ["yes"] == [detection.keyword for detection in found]
    assert 0.4 < found[0].time_s < 1.5
    assert 0.0 == spotter.time_s


def test_flush_after_short_audio_does_not_depend_on_chunking(loud_spotter, bursts):
    """
    Short audio cut anyhow gives the same detections at the flush.
    """
    tone = bursts([(0.0, 0.95)], length_s=1.1)
    found = []
    for size in (1, 160, 7_000, 19_200):
        spotter = loud_spotter(smoothing_ms=500)
        heard = []
        for start in range(0, len(tone), size):
            heard += spotter.process(tone[start : start + size])
        found.append(heard + spotter.flush())

    assert 1 == len(found[0])
    assert all(found[0] == other for other in found[1:])
