"""The promises of the design, section 3, that cross modules."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws import KeywordSpotter
from kws.decision.policy import Detection
from kws.features.streaming import LogMelFrontend

# Low enough that any speech makes the default model fire: what counts here is equality.
LOW_THRESHOLD = 0.1
Heard = tuple[list[Detection], list[tuple[float, bytes, Any]]]

cuts = st.lists(
    st.one_of(
        st.sampled_from([159, 160, 161, 1_599, 1_600, 1_601, 15_919, 15_920, 15_921, 160_000]),
        st.integers(1, 40_000),
    ),
    min_size=1,
    max_size=8,
)


def listen(spotter: KeywordSpotter, audio: np.ndarray, sizes: list[int] | None = None) -> Heard:
    """Return detections and all hops (time, posterior, scores) of audio cut by `sizes`, in turn."""
    hops: list[tuple[float, bytes, Any]] = []

    def note(time_s: float, posterior: np.ndarray, scores: np.ndarray | None) -> None:
        hops.append((time_s, posterior.tobytes(), None if scores is None else scores.tobytes()))

    spotter.on_posterior = note
    detections: list[Detection] = []
    at = n = 0
    sizes = sizes or [len(audio)]
    while at < len(audio):
        size = sizes[n % len(sizes)]
        detections += spotter.process(audio[at : at + size])
        at += size
        n += 1
    return detections, hops


def make(hop_ms: int = 100, mode: str = "auto") -> KeywordSpotter:
    return KeywordSpotter.from_model("default", hop_ms=hop_ms, mode=mode, thresholds=LOW_THRESHOLD)


@pytest.fixture(scope="module", params=["window", "stream"])
def spotter(request) -> KeywordSpotter:
    return make(mode=request.param)


@pytest.fixture(scope="module")
def whole(spotter, demo_audio) -> Heard:
    """Return detections and hops when all audio comes at once."""
    spotter.reset()
    return listen(spotter, demo_audio)


def test_the_audio_of_these_tests_makes_the_spotter_fire(whole, demo_audio):
    """
    The equalities below are about something: several detections, a hop every 100 ms.
    """
    detections, hops = whole

    assert len(detections) > 3
    assert len({found.score for found in detections}) > 3
    assert len(hops) == (len(demo_audio) - 15_920) // 1_600 + 1


@settings(max_examples=40)
@given(sizes=cuts)
@example(sizes=[1])
@example(sizes=[160_000])
def test_1_chunking_does_not_matter(spotter, demo_audio, whole, sizes):
    """
    However the audio is cut, from 1 sample to 10 s: detections, times, scores and every
    posterior are the same to the last bit.
    """
    spotter.reset()

    assert listen(spotter, demo_audio, sizes) == whole


@settings(max_examples=8)
@given(sizes=cuts, hop_ms=st.sampled_from([20, 50, 130, 1_000]))
def test_1_chunking_does_not_matter_at_other_hops(demo_audio, sizes, hop_ms):
    """
    Nor with another hop, shorter, odd, or longer than the window.
    """
    audio = demo_audio[:80_000]
    expected = listen(make(hop_ms), audio)

    assert len(expected[1]) >= 4
    assert listen(make(hop_ms), audio, sizes) == expected


def test_2_time_is_counted_in_samples(loud_spotter, bursts, monkeypatch):
    """
    Without any clock a detection's time is the audio fed at its hop's end.
    """

    def no_clock() -> float:
        raise AssertionError("a clock was read")

    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, no_clock)
    spotter = loud_spotter(smoothing_ms=100)
    found = spotter.process(bursts([(2.0, 2.5)], length_s=4))
    monkeypatch.undo()

    assert found == [Detection("yes", 1.0, (15_920 + 11 * 1_600) / 16_000)]


@settings(max_examples=20)
@given(before=st.integers(0, 40_000), lost=st.integers(1, 1_000_000))
@example(before=0, lost=1)
@example(before=15_920, lost=1_600)
def test_2_lost_samples_advance_time_and_reset_the_stages(spotter, demo_audio, whole, before, lost):
    """
    After a gap everything is as from a new spotter, but later by what was fed and lost.
    """
    spotter.reset()
    spotter.process(demo_audio[:before])
    spotter.skip(lost)

    assert spotter.time_s == (before + lost) / 16_000

    detections, hops = listen(spotter, demo_audio)
    shift = before + lost
    later = [(round(at * 16_000) + shift) / 16_000 for at, _, _ in whole[1]]

    assert [at for at, _, _ in hops] == later
    assert [hop[1:] for hop in hops] == [hop[1:] for hop in whole[1]]
    assert [(found.keyword, found.score) for found in detections] == [
        (found.keyword, found.score) for found in whole[0]
    ]


@settings(max_examples=20)
@given(n_before=st.integers(0, 60_000))
@example(n_before=15_920)
@example(n_before=0)
def test_3_reset_equals_new(spotter, demo_audio, whole, n_before):
    """
    After reset at any point of the stream a spotter gives the results of a new one.
    """
    spotter.process(demo_audio[:n_before])
    spotter.reset()

    assert spotter.time_s == 0
    assert listen(spotter, demo_audio) == whole


def test_3_the_end_of_an_input_resets_too(demo_audio, whole):
    """
    After flush the results of the next file are those of a new spotter.
    """
    used = make()
    used.process(demo_audio[:33_333])
    used.flush()

    assert used.time_s == 0
    assert listen(used, demo_audio) == whole
    assert listen(make(), demo_audio) == whole


@pytest.mark.parametrize("length_s", [0.25, 0.6, 3.0])
def test_4_one_utterance_fires_once(loud_spotter, bursts, length_s):
    """
    A word, short or drawn out far beyond the quiet time, is one detection.
    """
    spotter = loud_spotter(smoothing_ms=100, suppression_ms=500)
    found = spotter.process(bursts([(1.5, 1.5 + length_s)], length_s=8))

    assert [detection.keyword for detection in found] == ["yes"]


def test_4_a_dip_within_a_word_does_not_fire_again(loud_spotter, bursts):
    """
    A score that falls for less than the quiet time belongs to the same utterance.
    """
    spotter = loud_spotter(smoothing_ms=100, suppression_ms=500)
    found = spotter.process(bursts([(1.5, 1.8), (2.0, 2.3), (2.5, 2.8)], length_s=6))

    assert len(found) == 1


@pytest.mark.parametrize("gap_s", [0.9, 1.5, 4.0])
def test_4_the_same_word_said_twice_fires_twice(loud_spotter, bursts, gap_s):
    """
    Said again after the quiet time, the word is detected again.
    """
    spotter = loud_spotter(smoothing_ms=100, suppression_ms=500)
    spans = [(1.5, 1.9), (1.9 + gap_s, 2.3 + gap_s)]
    found = spotter.process(bursts(spans, length_s=9))

    assert [detection.keyword for detection in found] == ["yes", "yes"]
    assert found[1].time_s - found[0].time_s == pytest.approx(0.4 + gap_s, abs=0.11)


def test_4_another_word_fires_at_once(loud_spotter, bursts):
    """
    The quiet time of one word does not hide another one.
    """
    spotter = loud_spotter(smoothing_ms=100, suppression_ms=2_000)
    audio = bursts([(1.5, 1.9)], length_s=4) + bursts([(2.0, 2.4)], length_s=4, hz=3_000)

    assert [found.keyword for found in spotter.process(audio)] == ["yes", "no"]


def test_5_training_and_runtime_share_one_front_end(default_manifest, demo_audio):
    """
    Training's features (its own FFT, whole clips) equal the runtime's, streamed in odd pieces,
    within 1e-4 after normalisation.
    """
    pytest.importorskip("scipy.fft", reason="training needs the extra [eval]")
    from training.batches.features import FeatureMaker

    config = default_manifest.frontend
    starts = range(0, len(demo_audio) - 16_000, 4_000)
    clips = np.stack([demo_audio[start : start + 16_000] for start in starts])
    of_training = FeatureMaker(config).windows(clips)
    for clip, trained in zip(clips, of_training):
        frontend = LogMelFrontend(config)
        frames = np.concatenate(
            [frontend.push(clip[at : at + 777]) for at in range(0, 16_000, 777)]
        )
        expected = (frames - config.mean) / config.std

        assert trained.shape == (98, 40)
        np.testing.assert_allclose(trained, expected, atol=1e-4)


def test_5_training_imports_the_runtimes_front_end():
    """
    There is no second implementation: training's formula is the runtime's own object.
    """
    pytest.importorskip("scipy", reason="training needs the extra [eval]")
    from kws.features import frontends as frontend_kinds
    from kws.features import log_mel as mel
    from training.batches import features

    assert features.LogMelTransform is mel.LogMelTransform
    assert features.SpectrogramTransform is mel.SpectrogramTransform
    assert features.ClipFeatures is frontend_kinds.ClipFeatures


@pytest.mark.parametrize("mode", ["window", "stream"])
def test_a_hop_keeps_no_memory_and_needs_little(demo_audio, mode):
    """
    After warm-up, hundreds of hops leave nothing behind, and none needs more at a time than the
    spectrum of its ten frames and numpy's own buffer.
    """
    spotter = make(mode=mode)
    hops = [demo_audio[at : at + 1_600] for at in range(0, len(demo_audio) - 1_600, 1_600)]
    for hop in hops:
        spotter.process(hop)
    tracemalloc.start()
    try:
        for hop in hops[:20]:
            spotter.process(hop)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for hop in hops * 3:
            spotter.process(hop)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(hops) > 100
    assert after - before < 2_000
    # 10 frames of 257 complex numbers, and 64 KiB in which numpy turns int16 into double; the
    # spectrum of a whole window alone would be 400 kB.
    assert peak - before < 10 * 257 * 16 + 65_536 + 10_000
