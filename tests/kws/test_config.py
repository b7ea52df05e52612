"""Settings refuse nonsense when they are built, and convert units in one place."""

from __future__ import annotations

import dataclasses

import pytest

from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError


def test_default_second_has_98_frames():
    """
    25 ms frames every 10 ms: one second holds 98 of them, and 98 need 15,920 samples.
    """
    config = FrontendConfig()

    assert config.n_frames(16_000) == 98
    assert config.n_samples(98) == 15_920
    assert config.frame_length_samples == 400
    assert config.frame_step_samples == 160


@pytest.mark.parametrize(
    ("n_samples", "expected"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (15_919, 97)]
)
def test_a_frame_counts_when_it_is_whole(n_samples, expected):
    """
    Only whole frames count, and each further step of samples completes one more.
    """
    assert FrontendConfig().n_frames(n_samples) == expected


@pytest.mark.parametrize("n_frames", [0, 1, 2, 98, 1_000])
def test_samples_and_frames_convert_both_ways(n_frames):
    """
    `n_samples` is the least audio that gives `n_frames`.
    """
    config = FrontendConfig(frame_length_ms=30, frame_step_ms=20)

    assert config.n_frames(config.n_samples(n_frames)) == n_frames
    assert n_frames == 0 or config.n_frames(config.n_samples(n_frames) - 1) == n_frames - 1


def test_lengths_need_not_be_whole_ms():
    """
    31.25 and 7.75 ms are 250 and 62 samples at 8 kHz, and 126 steps fill a second.
    """
    config = FrontendConfig(
        kind="spectrogram", sample_rate=8_000, frame_length_ms=31.25, frame_step_ms=7.75, n_fft=258
    )

    assert (config.frame_length_samples, config.frame_step_samples) == (250, 62)
    assert (config.n_bands, config.shape(126)) == (130, (126, 130))
    assert config.n_frames(8_000) == 126
    assert config.duration_ms(13) == 100.75
    assert repr(config.duration_ms(4)) == "31"


def test_whole_ms_are_as_they_were():
    """
    25 ms at 11.025 kHz are the 275 whole samples that fit, and at 16 kHz a hop of 10 is 100 ms.
    """
    assert FrontendConfig(sample_rate=11_025, high_hz=5_000).frame_length_samples == 275
    assert repr(FrontendConfig().duration_ms(10)) == "100"


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 11_025])
def test_a_frame_of_a_waveform_is_a_sample(sample_rate):
    """
    Frame settings do not matter for a waveform: one value per sample, no bands.
    """
    config = FrontendConfig(kind="waveform", sample_rate=sample_rate, frame_step_ms=10)

    assert (config.frame_length_samples, config.frame_step_samples) == (1, 1)
    assert (config.n_bands, config.shape(800)) == (1, (800,))
    assert config.n_frames(800) == config.n_samples(800) == 800
    assert config.duration_ms(sample_rate) == pytest.approx(1_000)


def test_what_a_kind_does_not_use_is_not_checked():
    """
    The default high edge of 7600 Hz is no error where there are no bands to have edges.
    """
    with pytest.raises(ConfigError, match="high_hz: expected 1 to 4000, got 7600"):
        FrontendConfig(sample_rate=8_000)

    for kind in ("waveform", "spectrogram"):
        assert FrontendConfig(kind=kind, sample_rate=8_000).settings[:1] == ("kind",)
        assert "high_hz" not in FrontendConfig(kind=kind, sample_rate=8_000).settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "mfcc"}, r"kind must be one of log_mel, spectrogram, waveform, got .mfcc."),
        ({"sample_rate": 100}, r"sample_rate: expected 4000 to 192000, got 100"),
        (
            {"frame_step_ms": 0},
            r"frame_step_ms: expected 0\.0625 to 25, got 0",
        ),
        ({"frame_step_ms": 26}, r"frame_step_ms: .* got 26"),
        ({"frame_step_ms": 0.01}, r"expected 0\.0625 to 25, got 0\.01"),
        ({"n_fft": 399}, r"n_fft: expected 400 to 65536, got 399"),
        ({"n_mels": 0}, r"n_mels: expected 1 to 256, got 0"),
        ({"n_mels": 257}, r"n_mels: expected 1 to 256, got 257"),
        ({"low_hz": -1.0}, "low_hz: expected 0 to 7599, got -1"),
        ({"low_hz": 7_600.0}, "low_hz: expected 0 to 7599, got 7600"),
        ({"high_hz": 8_001.0}, "high_hz: expected 1 to 8000, got 8001"),
        ({"log_floor": 0.0}, r"log_floor: expected above 0 .* got 0"),
        ({"std": 0.0}, r"std: expected 1e-06 to .* got 0"),
        ({"std": float("nan")}, r"std: expected 1e-06 to .* got nan"),
    ],
)
def test_front_end_refuses_nonsense(settings, message):
    """
    Every setting out of range is a ConfigError that names it and its value.
    """
    with pytest.raises(ConfigError, match=message):
        FrontendConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smoothing_ms": 0}, r"smoothing_ms: expected 1 to 5000, got 0"),
        ({"smoothing_ms": 5_001}, r"smoothing_ms: .* got 5001"),
        ({"suppression_ms": -1}, r"suppression_ms: expected 0 to 60000, got -1"),
        ({"default_threshold": 0}, r"threshold of default: .* got 0"),
        ({"thresholds": {"go": 1.01}}, r"threshold of go: expected above 0 and up to 1, got 1.01"),
        ({"thresholds": {"go": float("nan")}}, r"threshold of go: .* got nan"),
    ],
)
def test_decision_refuses_nonsense(settings, message):
    """
    Every setting out of range is a ConfigError that names it and its value.
    """
    with pytest.raises(ConfigError, match=message):
        DecisionConfig(**settings)


def test_own_threshold_before_default():
    """
    A keyword's own threshold holds; a keyword without one has the default.
    """
    config = DecisionConfig(default_threshold=0.7, thresholds={"go": 0.9})

    assert config.threshold("go") == 0.9
    assert config.threshold("yes") == 0.7


def test_thresholds_are_not_shared_with_the_caller():
    """
    Changing the mapping given does not change the settings.
    """
    given = {"go": 0.9}
    config = DecisionConfig(thresholds=given)
    given["go"] = 0.1

    assert config.threshold("go") == 0.9


@pytest.mark.parametrize("config", [FrontendConfig(), DecisionConfig()])
def test_settings_are_frozen(config):
    """
    Settings never change after they were checked.
    """
    field = dataclasses.fields(config)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, field, 1)
