"""Settings of a live microphone: nonsense is refused when they are made."""

from __future__ import annotations

import math

import pytest

from kws.audio.capture_config import CaptureConfig
from kws.errors import ConfigError


def test_defaults():
    """
    The mean of all channels, no gain, safe latency, 50 ms blocks, lost after 3 s, reopened.
    """
    assert CaptureConfig() == CaptureConfig(
        channel=None, gain_db=0.0, latency="high", block_ms=50.0, stall_s=3.0, reconnect=True
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("gain_db", -60.0, 60.0),
        ("latency", 1.0, 2_000.0),
        ("block_ms", 5.0, 500.0),
        ("stall_s", 0.5, 60.0),
        ("channel", 1, 256),
    ],
)
def test_ranges_include_both_ends(name, low, high):
    """
    Values beyond the ends are refused, with the range and the value.
    """
    for value in (low, high):
        assert getattr(CaptureConfig(**{name: value}), name) == value
    step = 1 if name == "channel" else 0.001
    for value in (low - step, high + step):
        message = f"{name}: expected {low:g} to {high:g}, got {value:g}"
        with pytest.raises(ConfigError) as caught:
            CaptureConfig(**{name: value})
        assert str(caught.value) == message


@pytest.mark.parametrize("name", ["gain_db", "latency", "block_ms", "stall_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_is_refused(name, value):
    """
    NaN compares false with everything, and would pass a naive range check.
    """
    with pytest.raises(ConfigError, match=f"{name}: expected .* got {value:g}"):
        CaptureConfig(**{name: value})


@pytest.mark.parametrize("latency", ["low", "high", 80.0])
def test_latency_is_a_word_or_a_time(latency):
    """
    PortAudio's two words, or milliseconds.
    """
    assert CaptureConfig(latency=latency).latency == latency


def test_other_words_for_latency_are_refused():
    """
    The message lists the choices.
    """
    with pytest.raises(ConfigError) as caught:
        CaptureConfig(latency="medium")

    assert str(caught.value) == "latency: expected low, high or a number of ms, got 'medium'"


def test_settings_are_frozen():
    """
    An open stream would not follow a change.
    """
    with pytest.raises(AttributeError):
        CaptureConfig().gain_db = 3.0
