"""The promises of the design, section 3, with front ends beside log-mel at 16 kHz.

The model is a stand-in: its posterior is made of every value of the window, so that one sample that
differs is seen. Real networks keep the same promises in `training/test_waveform_models.py`.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws.config import DecisionConfig, FrontendConfig
from kws.decision.policy import Detection
from kws.features.frontends import ClipFeatures
from kws.manifest import ModelManifest, WindowForm
from kws.spotter import KeywordSpotter

FRONTENDS = {
    "waveform-8k": (FrontendConfig(kind="waveform", sample_rate=8_000), 8_000, 800),
    "waveform-16k": (FrontendConfig(kind="waveform"), 16_000, 1_600),
    "spectrogram-8k": (
        FrontendConfig(
            kind="spectrogram",
            sample_rate=8_000,
            frame_length_ms=31.25,
            frame_step_ms=7.75,
            n_fft=258,
        ),
        126,
        13,
    ),
    "log_mel-8k": (FrontendConfig(sample_rate=8_000, n_fft=256, high_hz=3_800.0), 98, 10),
}
LABELS = ("yes", "no", "_unknown_")
Heard = tuple[list[Detection], list[tuple[float, bytes]]]

cuts = st.lists(
    st.one_of(
        st.sampled_from([1, 15_999, 16_000, 16_001, 1_599, 1_601, 1_612, 160_000]),
        st.integers(1, 40_000),
    ),
    min_size=1,
    max_size=6,
)


class SumModel:
    """A posterior that hangs on every value of the window, and on nothing else."""

    mode = "window"
    opened: Any = None

    def __init__(self, window_frames: int, hop_frames: int, n_bands: int) -> None:
        self.window_frames, self.hop_frames = window_frames, hop_frames
        self._n_bands = n_bands
        self.reset()

    def reset(self) -> None:
        self._frames = np.zeros((0, self._n_bands), dtype=np.float32)

    def push(self, frames: np.ndarray) -> np.ndarray:
        self._frames = np.concatenate((self._frames, frames))
        posteriors = []
        while len(self._frames) >= self.window_frames:
            posteriors.append(self.predict(self._frames[: self.window_frames]))
            self._frames = self._frames[self.hop_frames :]
        return np.array(posteriors, dtype=np.float32).reshape(-1, len(LABELS))

    def predict(self, window: np.ndarray) -> np.ndarray:
        share = zlib.crc32(np.ascontiguousarray(window).tobytes()) / 2**32
        return np.array([share, 1 - share, 0], dtype=np.float32)


def make(name: str) -> KeywordSpotter:
    frontend, window_frames, hop_frames = FRONTENDS[name]
    manifest = ModelManifest(
        name=name,
        version="1",
        labels=LABELS,
        frontend=frontend,
        window=WindowForm("sum.tflite", "0" * 64, frontend.sample_rate, window_frames),
        decision=DecisionConfig(smoothing_ms=300, suppression_ms=250),
    )
    model = SumModel(window_frames, hop_frames, frontend.n_bands)
    return KeywordSpotter(manifest, model, thresholds={"yes": 0.55, "no": 0.55})


def listen(spotter: KeywordSpotter, audio: np.ndarray, sizes: list[int] | None = None) -> Heard:
    """Return detections and hops of audio cut by `sizes`, in turn."""
    hops: list[tuple[float, bytes]] = []
    spotter.on_posterior = lambda time_s, posterior, _: hops.append((time_s, posterior.tobytes()))
    detections: list[Detection] = []
    at = n = 0
    sizes = sizes or [len(audio)]
    while at < len(audio):
        detections += spotter.process(audio[at : at + sizes[n % len(sizes)]])
        at += sizes[n % len(sizes)]
        n += 1
    spotter.on_posterior = None
    return detections, hops


@pytest.fixture(scope="module", params=sorted(FRONTENDS))
def spotter(request) -> KeywordSpotter:
    return make(request.param)


@pytest.fixture(scope="module")
def whole(spotter, demo_audio) -> Heard:
    """Return detections and hops when all audio comes at once."""
    spotter.reset()
    return listen(spotter, demo_audio)


def test_audio_is_fed_at_16_khz(spotter, whole, demo_audio):
    """
    Whatever rate the model works at: a hop every 100 ms (100.75 of 7.75 ms each) of what is fed.
    """
    frontend, window_frames, hop_frames = FRONTENDS[spotter.manifest.name]
    factor = 16_000 // frontend.sample_rate
    first = factor * frontend.n_samples(window_frames)
    step = factor * hop_frames * frontend.frame_step_samples
    detections, hops = whole

    assert (spotter.sample_rate, spotter.window_samples, spotter.hop_samples) == (
        16_000,
        first,
        step,
    )
    assert spotter.hop_ms == (100.75 if frontend.kind == "spectrogram" else 100)
    assert [at for at, _ in hops] == [
        fed / 16_000 for fed in range(first, len(demo_audio) + 1, step)
    ]
    assert len({found.score for found in detections}) > 3


def test_the_posteriors_are_those_of_the_windows(spotter, whole, demo_audio):
    """
    Each hop's window is the stretch of the whole recording's features that ends there.
    """
    frontend, window_frames, hop_frames = FRONTENDS[spotter.manifest.name]
    features = ClipFeatures(frontend)(demo_audio)
    model = SumModel(window_frames, hop_frames, frontend.n_bands)
    starts = range(0, len(features) - window_frames + 1, hop_frames)
    expected = [model.predict(features[at : at + window_frames]).tobytes() for at in starts]

    assert len(expected) > 50
    assert expected == [posterior for _, posterior in whole[1]]


@settings(max_examples=15)
@given(sizes=cuts)
@example(sizes=[1])
@example(sizes=[160_000])
def test_1_chunking_does_not_matter(spotter, demo_audio, sizes):
    """
    However the audio is cut, from 1 sample to 10 s: detections, times, scores and every
    posterior are the same to the last bit.
    """
    audio = demo_audio[:60_001]
    spotter.reset()
    expected = listen(spotter, audio)
    spotter.reset()

    assert len(expected[1]) > 20
    assert listen(spotter, audio, sizes) == expected


@settings(max_examples=10)
@given(before=st.integers(0, 40_000), lost=st.integers(1, 1_000_000))
@example(before=15_999, lost=1)
def test_2_lost_samples_advance_time_and_reset_the_stages(spotter, demo_audio, before, lost):
    """
    After a gap, even of an odd number of samples, everything is as from a new spotter, but later.
    """
    audio = demo_audio[:48_000]
    spotter.reset()
    expected = listen(spotter, audio)
    spotter.reset()
    spotter.process(demo_audio[7 : 7 + before])
    spotter.skip(lost)

    assert spotter.time_s == (before + lost) / 16_000

    detections, hops = listen(spotter, audio)

    assert [round(at * 16_000) - before - lost for at, _ in hops] == [
        round(at * 16_000) for at, _ in expected[1]
    ]
    assert [posterior for _, posterior in hops] == [posterior for _, posterior in expected[1]]
    assert [found.score for found in detections] == [found.score for found in expected[0]]


@settings(max_examples=10)
@given(n_before=st.integers(0, 60_000))
@example(n_before=16_001)
def test_3_reset_and_flush_equal_new(spotter, demo_audio, whole, n_before):
    """
    After reset, and after the end of an input, a spotter gives the results of a new one.
    """
    spotter.reset()
    spotter.process(demo_audio[:n_before])
    spotter.reset()

    assert spotter.time_s == 0
    assert listen(spotter, demo_audio) == whole

    spotter.flush()

    assert listen(spotter, demo_audio) == whole
    assert listen(make(spotter.manifest.name), demo_audio) == whole
