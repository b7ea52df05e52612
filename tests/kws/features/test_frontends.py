"""The kinds of front end, and their decimation of 16 kHz to 8 kHz."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kws.config import FrontendConfig
from kws.errors import AudioError, ConfigError
from kws.features.decimation import decimate
from kws.features.frontends import (
    FRONTENDS,
    ClipFeatures,
    DecimatedFrontend,
    decimation_factor,
    history_samples,
    input_rate,
    open_frontend,
)
from kws.features.streaming import SpectrogramFrontend, WaveformFrontend, log_mel

WAVEFORM = FrontendConfig(kind="waveform", sample_rate=8_000)
# An FFT of 258 points over 250 samples every 62: 130 frequencies, 126 frames in a second.
SPECTROGRAM = FrontendConfig(
    kind="spectrogram", sample_rate=8_000, frame_length_ms=31.25, frame_step_ms=7.75, n_fft=258
)
KINDS = {"waveform": WAVEFORM, "spectrogram": SPECTROGRAM, "log_mel": FrontendConfig()}


@pytest.fixture(params=sorted(KINDS))
def config(request) -> FrontendConfig:
    """A front end of each kind."""
    return KINDS[request.param]


def test_each_kind_has_its_own_front_end_and_low_rates_a_decimator():
    """
    The manifest's kind decides which front end runs; one of 8 kHz takes audio at 16 kHz.
    """
    for name, kind in FRONTENDS.items():
        config = FrontendConfig(kind=name)
        assert kind is type(open_frontend(config))
        assert 0 == history_samples(config)
        assert 16_000 == input_rate(config)
    assert DecimatedFrontend is type(open_frontend(SPECTROGRAM))
    assert 96 == history_samples(SPECTROGRAM)
    assert 16_000 == input_rate(SPECTROGRAM)


@pytest.mark.parametrize("chunk_samples", [1, 61, 62, 63, 1_000])
def test_streamed_frames_equal_those_of_the_clip(demo_audio, config, chunk_samples):
    """
    However the audio is cut, the frames are those of the whole clip; also with `out`.
    """
    audio = demo_audio[:24_000]
    expected = ClipFeatures(config)(audio)
    frontend = open_frontend(config)
    out = np.full((chunk_samples + 1, config.n_bands), np.nan, dtype=np.float32)
    streamed = [
        frontend.push(audio[at : at + chunk_samples], out=out).copy()
        for at in range(0, len(audio), chunk_samples)
    ]

    factor = decimation_factor(config)
    assert expected.shape == (config.n_frames(len(audio) // factor), config.n_bands)
    np.testing.assert_array_equal(np.concatenate(streamed), expected)


def test_priming_stands_for_the_audio_before_the_first_frame(demo_audio, config):
    """
    With the samples that the low-pass filter remembers, later frames are those of the stream.
    """
    start, n_history = 16_000, history_samples(config)
    audio = demo_audio[: 2 * start]
    primed = open_frontend(config)
    primed.prime(audio[start - n_history : start])
    whole = open_frontend(config)
    whole.push(audio[:start])
    whole.reset()
    if n_history:
        whole.prime(audio[start - 2 * n_history : start])

    np.testing.assert_array_equal(whole.push(audio[start:]), primed.push(audio[start:]))


def test_reset_equals_new(demo_audio, config):
    """
    After reset, earlier audio has no influence.
    """
    used = open_frontend(config)
    used.push(demo_audio[:777])
    used.reset()

    np.testing.assert_array_equal(
        used.push(demo_audio[:9_000]), open_frontend(config).push(demo_audio[:9_000])
    )


def test_a_waveform_is_the_samples():
    """
    int16 becomes -1..1, exactly, one frame a sample.
    """
    samples = np.array([0, 1, -32_768, 32_767, 16_384], dtype=np.int16)

    expected = [[0.0], [1 / 32_768], [-1.0], [32_767 / 32_768], [0.5]]

    np.testing.assert_array_equal(WaveformFrontend(WAVEFORM).push(samples), expected)


def test_a_spectrogram_equals_the_slow_definition(rng):
    """
    Natural log of the power of each frequency of the tapered, padded frame, by the formula.
    """
    samples = rng.integers(-20_000, 20_000, 250 + 62).astype(np.int16)
    found = SpectrogramFrontend(SPECTROGRAM).push(samples)

    assert found.shape == (2, 130)
    for row, start in zip(found, (0, 62)):
        frame = samples[start : start + 250] / 32_768
        taper = [0.5 - 0.5 * math.cos(2 * math.pi * n / 250) for n in range(250)]
        for k in (0, 1, 64, 129):
            angles = 2 * np.pi * k * np.arange(250) / 258
            power = np.sum(frame * taper * np.cos(angles)) ** 2
            power += np.sum(frame * taper * np.sin(angles)) ** 2

            assert math.log(max(power, 1e-5)) == pytest.approx(row[k], abs=1e-4)


def test_a_tone_shows_at_its_frequency():
    """
    1 kHz at 8 kHz is in bin 1000 / 8000 * 258 = 32, and nothing above 4 kHz aliases.
    """
    times = np.arange(16_000) / 16_000
    audio = 8_000 * (np.sin(2 * np.pi * 1_000 * times) + np.sin(2 * np.pi * 5_500 * times))
    frames = ClipFeatures(SPECTROGRAM)(audio.astype(np.int16))

    assert {32} == set(frames[4:].argmax(axis=1).tolist())
    # 5.5 kHz would come back at 2.5 kHz, bin 81.
    assert frames[4:, 79:84].max() < frames[4:, 32].min() - 15


def test_the_write_ups_spectrogram_fills_a_second():
    """
    8000 samples give 126 frames of 130 frequencies, and not one sample is left over.
    """
    assert (126, 130) == ClipFeatures(SPECTROGRAM)(np.zeros(16_000, dtype=np.int16)).shape
    assert SPECTROGRAM.n_samples(126) == 8_000


def test_log_mel_at_8_khz_hears_the_decimated_audio(demo_audio):
    """
    Any kind takes 16 kHz and works at its own rate.
    """
    config = FrontendConfig(sample_rate=8_000, n_fft=256, high_hz=3_800.0)

    np.testing.assert_array_equal(
        ClipFeatures(config)(demo_audio), log_mel(decimate(demo_audio, 2), config)
    )


@pytest.mark.parametrize(
    ("sample_rate", "factor"), [(16_000, 1), (8_000, 2), (4_000, 4), (22_050, 1), (48_000, 1)]
)
def test_which_rates_are_made_of_16_khz(sample_rate, factor):
    """
    Parts of 16 kHz are made of it; a faster model is fed at its own rate.
    """
    config = FrontendConfig(kind="waveform", sample_rate=sample_rate)

    assert factor == decimation_factor(config)
    assert sample_rate * factor == ClipFeatures(config).input_rate


def test_a_rate_that_is_no_part_of_16_khz_is_refused():
    """
    11025 Hz cannot be made by leaving samples out.
    """
    with pytest.raises(ConfigError, match=r"16000 Hz or a whole part of it \(8000\), got 11025"):
        decimation_factor(FrontendConfig(kind="waveform", sample_rate=11_025))


def test_a_waveform_takes_only_int16():
    """
    Float samples would be scaled twice, so they are an error.
    """
    with pytest.raises(AudioError, match="expected an int16 array"):
        WaveformFrontend(WAVEFORM).push(np.zeros(10, dtype=np.float32))
