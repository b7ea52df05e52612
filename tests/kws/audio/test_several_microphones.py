"""Several microphones in one process: what one is in need of, the others do not suffer from."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fake_audio import FakeAudio
from support.fake_portaudio import FakePortAudioSystem, PortAudioError
from support.logged import messages
from support.watched import WatchedMicrophone

from kws.audio import devices
from kws.audio.microphone import Microphone
from kws.audio.portaudio_workarounds import StderrSilencer
from kws.errors import DeviceError


@pytest.fixture
def portaudio():
    made = FakePortAudioSystem()
    with made.installed():
        yield made
    made.end()


@pytest.fixture
def audio():
    made = FakeAudio()
    yield made
    made.end()


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Let file descriptor 2 be a file; not in a fixture, because pytest has it for itself then."""
    kept = os.dup(2)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@pytest.mark.parametrize("first_back", [0, 1])
def test_overlapping_silencers_restore_once(tmp_path, first_back):
    """
    Standard error is back after both are done, in any order.
    """
    quiet = [StderrSilencer(), StderrSilencer()]
    with stderr_to(tmp_path / "stderr"):
        quiet[0].silence()
        quiet[1].silence()
        os.write(2, b"both ")
        quiet[first_back].restore()
        os.write(2, b"one ")
        quiet[1 - first_back].restore()
        os.write(2, b"none")

    assert (tmp_path / "stderr").read_bytes() == b"none"


def test_devices_are_not_rescanned_while_a_microphone_is_open(portaudio):
    """
    PortAudio would end its stream.
    """
    opened = [Microphone(), Microphone()]

    assert devices.rescan_devices() is False
    assert all(stream.active for stream in portaudio.streams)
    opened[0].close()
    assert devices.rescan_devices() is False
    opened[1].close()
    assert devices.rescan_devices() is True


def test_a_microphone_that_failed_to_open_does_not_block_a_rescan(portaudio, monkeypatch):
    """
    Neither a missing one, nor one that does not start.
    """
    with pytest.raises(DeviceError, match="no such input device"):
        Microphone("gramophone")
    assert devices.rescan_devices() is True

    def start(stream: object) -> None:
        raise PortAudioError("Device unavailable")

    monkeypatch.setattr("support.fake_portaudio.FakeInputStream.start", start)
    with pytest.raises(DeviceError, match="cannot be started"):
        Microphone()
    assert devices.rescan_devices() is True


def test_a_missing_rescan_is_logged_once_a_loss(audio, caplog):
    """
    A device in its old place is found nevertheless.
    """
    audio.rescan_devices = lambda: False
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    for start_s in (2.0, 12.0):
        audio.at(start_s, audio.unplug)
        audio.at(start_s + 5.0, audio.plug_in)
    with caplog.at_level(logging.WARNING):
        watched.read(20.0)

    assert messages(caplog) == 2 * [
        "device fake microphone: found again only where it was, because PortAudio cannot "
        "rescan devices while another microphone of this process is open"
    ]
    assert len([chunk for _, chunk in watched.chunks if chunk.status_text]) == 2


def test_a_fractional_rate_is_rounded(portaudio, monkeypatch):
    """
    A device at 15,999.9 Hz counts as 16 kHz.
    """
    made = portaudio.InputStream

    def inexact(**settings: object) -> object:
        stream = made(**settings)
        stream.samplerate -= 0.1
        return stream

    monkeypatch.setattr(portaudio, "InputStream", inexact)

    assert Microphone().rate == 16_000
