"""How a device is opened and what becomes of its blocks, on a PortAudio that is made up."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.fake_audio import RATE, Room
from support.fake_portaudio import FakePortAudioSystem, PortAudioError

from kws.audio import devices
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import list_devices
from kws.audio.microphone import BUFFER_S, Microphone
from kws.errors import DeviceError, SoundServerGoneError


@pytest.fixture
def portaudio(rng):
    """A device that takes 16 and 48 kHz and one or two channels, in a room with noise."""
    made = FakePortAudioSystem(Room(rng.integers(-9_000, 9_000, RATE).astype(np.int16)))
    made.rates, made.counts, made.rate = (16_000, 48_000), (1, 2), 48_000
    with made.installed():
        yield made
    made.end()


def expected(portaudio: FakePortAudioSystem, n: int, *, weight: float = 1.0) -> np.ndarray:
    """Return what the device captures of the room, times a channel's weight."""
    stream = portaudio.streams[-1]
    heard = portaudio.room.hear(stream.rate, round(stream.opened_s * stream.rate), n)
    return heard * weight


def test_our_rate_is_requested_first(portaudio):
    """
    A device that supports 16 kHz mono is opened so, in blocks of 50 ms, unchanged.
    """
    opened = Microphone()
    portaudio.time.take(1.02)
    samples = opened.buffer.read()
    opened.close()

    assert (opened.rate, opened.n_channels) == (16_000, 1)
    assert len(samples) == 20 * 800
    np.testing.assert_array_equal(samples, expected(portaudio, len(samples)))
    assert (opened.device.index, opened.device.name) == (3, "fake microphone")
    assert portaudio.streams[-1].closed


def test_a_device_that_refuses_our_rate_is_opened_at_its_own(portaudio):
    """
    Blocks and buffer have the same length in time.
    """
    portaudio.rates = (48_000,)
    opened = Microphone(config=CaptureConfig(block_ms=20.0))
    portaudio.time.take(0.101)

    assert opened.rate == 48_000
    assert portaudio.settings[-1]["blocksize"] == 960
    assert len(opened.buffer.read()) == 5 * 960
    assert opened.buffer.capacity == 48_000 * BUFFER_S


@pytest.mark.parametrize(("latency", "seconds"), [("low", "low"), ("high", "high"), (80.0, 0.08)])
def test_latency_is_passed_on(portaudio, latency, seconds):
    """
    PortAudio's words unchanged, our milliseconds as seconds.
    """
    Microphone(config=CaptureConfig(latency=latency))

    assert portaudio.settings[-1]["latency"] == seconds


@pytest.mark.parametrize("n_channels", [2, 4, 8])
def test_many_channels_become_their_mean(portaudio, n_channels):
    """
    A bare device accepts only its own number; the result is the mean, up to rounding.
    """
    portaudio.counts = (n_channels,)
    opened = Microphone()
    portaudio.time.take(1.02)
    samples = opened.buffer.read()

    assert opened.n_channels == n_channels
    assert abs(samples - expected(portaudio, len(samples))).max() < 1.001


@pytest.mark.parametrize("channel", [1, 2, 4])
def test_one_channel_may_be_chosen(portaudio, channel):
    """
    Counted from 1; the others are ignored.
    """
    portaudio.counts = (4,)
    opened = Microphone(config=CaptureConfig(channel=channel))
    portaudio.time.take(1.02)
    samples = opened.buffer.read()
    weight = np.linspace(1.5, 0.5, 4)[channel - 1]

    assert abs(samples - expected(portaudio, len(samples), weight=weight)).max() < 1.001


def test_a_missing_channel_is_refused(portaudio):
    """
    The message says how many there are.
    """
    with pytest.raises(DeviceError) as caught:
        Microphone(config=CaptureConfig(channel=3))

    assert str(caught.value) == (
        "device 3 fake microphone: expected at least 3 channels for channel 3, it has 2"
    )


def test_a_device_that_refuses_everything_names_what_was_tried(portaudio):
    """
    Both rates, and the most frequent reason.
    """
    portaudio.rates = (44_100,)
    with pytest.raises(DeviceError) as caught:
        Microphone()

    assert str(caught.value) == (
        "device 3 fake microphone: cannot be opened (16000 Hz: Invalid sample rate; 48000 Hz: "
        "Invalid sample rate); another program may hold it"
    )


def test_a_stream_that_does_not_start_is_closed(portaudio, monkeypatch):
    """
    Nothing stays open after the error.
    """

    def start(stream: object) -> None:
        raise PortAudioError("Device unavailable")

    monkeypatch.setattr("support.fake_portaudio.FakeInputStream.start", start)
    with pytest.raises(DeviceError, match=r"cannot be started \(Device unavailable\); another"):
        Microphone()
    assert portaudio.streams[-1].closed


def test_blocks_overflows_and_the_end_reach_the_consumer(portaudio):
    """
    Each block and the end wake it; lost input is counted.
    """
    ready = threading.Event()
    opened = Microphone(ready=ready)
    assert not ready.is_set()
    portaudio.time.take(0.06)
    assert ready.is_set()
    portaudio.streams[-1].overflow(0.1)
    portaudio.time.take(0.3)
    assert opened.overflows == 1
    ready.clear()
    portaudio.unplug()

    assert (opened.ended.is_set(), ready.is_set()) == (True, True)


def test_it_may_be_closed_twice(portaudio):
    """
    It delivers nothing afterwards.
    """
    opened = Microphone()
    portaudio.time.take(0.06)
    opened.close()
    opened.close()
    opened.buffer.read()
    portaudio.time.take(1.0)

    assert len(opened.buffer) == 0


def test_input_devices_are_listed(portaudio):
    """
    With their index among all devices; output devices are not listed.
    """
    (device,) = list_devices()

    assert (device.index, device.name, device.is_default) == (3, "fake microphone", True)
    assert (device.n_channels, device.default_rate) == (2, 48_000)


def test_a_rescan_finds_new_devices(portaudio):
    """
    PortAudio lists devices only when it starts.
    """
    portaudio.unplug()
    devices.rescan_devices()
    portaudio.plug_in()
    with pytest.raises(DeviceError, match="no microphone"):
        Microphone()
    devices.rescan_devices()

    assert Microphone().device.name == "fake microphone"


def test_errors_of_portaudio_are_device_errors(portaudio, monkeypatch):
    """
    One line with the reason.
    """

    def broken(*arguments: object) -> None:
        raise PortAudioError("Unanticipated host error")

    monkeypatch.setattr(portaudio, "query_devices", broken)
    with pytest.raises(DeviceError, match="cannot list the devices: Unanticipated host error"):
        list_devices()
    monkeypatch.setattr(portaudio, "_initialize", broken)
    with pytest.raises(DeviceError, match="cannot be started: Unanticipated host error"):
        devices.rescan_devices()


def test_a_jack_server_that_ended_is_not_waited_for(portaudio, monkeypatch):
    """
    PortAudio would wait for minutes and then abort: the stream is abandoned.
    """
    monkeypatch.setattr(portaudio, "query_hostapis", lambda index: {"name": "JACK Audio"})
    opened = Microphone()
    stream = portaudio.streams[-1]
    # The server's end stops the stream without a word.
    stream.active = False

    with pytest.raises(SoundServerGoneError, match="the JACK server has ended"):
        opened.close()
    assert not stream.closed
