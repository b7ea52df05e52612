"""A microphone is closed although calls hang."""

from __future__ import annotations

import math

import pytest
from support.fake_audio import FakeAudio
from support.watched import BLOCK_S, WatchedMicrophone

from kws.audio.reconnect import SILENCED_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.errors import SoundServerGoneError


@pytest.fixture
def audio():
    made = FakeAudio()
    yield made
    made.end()


def test_stderr_is_silenced_during_an_attempt(audio):
    """
    For at most a second of an attempt that hangs.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    assert audio.silenced_s == []
    audio.at(2.0, audio.unplug)
    audio.at(4.0, lambda: setattr(audio, "opening_s", lambda: math.inf))
    watched.read(8.0)
    (hung_s,) = [time_s for time_s, is_silenced in audio.silenced_s if is_silenced and time_s > 4.0]
    first_back_s = min(t for t, is_silenced in audio.silenced_s if not is_silenced and t > hung_s)

    assert len([1 for _, is_silenced in audio.silenced_s if is_silenced]) > 3
    assert SILENCED_S < first_back_s - hung_s < SILENCED_S + 0.3
    for (time_s, is_silenced), (later_s, later) in zip(audio.silenced_s, audio.silenced_s[1:]):
        if is_silenced and time_s < 4.0:
            assert (later, later_s) == (False, pytest.approx(time_s + 0.01))


def test_a_slow_opening_of_a_lost_device_is_waited_for(audio):
    """
    One attempt at a time: PortAudio is not thread-safe.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(2.05, audio.plug_in)
    audio.at(2.05, lambda: setattr(audio, "opening_s", lambda: 30.0))
    watched.read(40.0)

    assert [time_s > 2.0 for time_s, _ in audio.asked] == [False, True]
    assert watched.stream_s == pytest.approx(40.0, abs=2 * BLOCK_S)


def test_close_waits_for_the_device(audio):
    """
    Until it is closed.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.closing_s = lambda: 0.2
    watched.read(1.0)
    watched.microphone.close()

    assert source.closed
    assert audio.time.now_s == pytest.approx(1.2)
    assert (watched.microphone.source, watched.microphone.closed) == (None, True)
    assert audio.n_abandoned == 0


def test_closing_a_device_that_hangs_ends_soon(audio, caplog):
    """
    After 0.3 s its stream is abandoned, and the process may end.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.closing_s = lambda: math.inf
    watched.read(1.0)
    watched.microphone.close()

    assert audio.time.now_s == pytest.approx(1.0 + CLOSE_TIMEOUT_S)
    assert audio.n_abandoned == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the sound server does not answer; its stream is abandoned"
    ]


def test_closing_while_an_opening_hangs_ends_soon(audio):
    """
    Also during an attempt to reopen a lost device.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(2.05, lambda: setattr(audio, "opening_s", lambda: math.inf))
    watched.read(9.0)
    watched.microphone.close()

    assert audio.time.now_s == pytest.approx(9.0 + CLOSE_TIMEOUT_S)
    assert audio.n_abandoned == 1
    assert audio.silenced_s[-1][1] is False


@pytest.mark.parametrize("opening_s", [0.3, 5.0])
def test_an_opening_that_ends_after_close_closes_its_device(audio, opening_s):
    """
    Whether or not close has waited for it.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(2.05, audio.plug_in)
    audio.at(2.05, lambda: setattr(audio, "opening_s", lambda: opening_s))
    watched.read(2.15)
    watched.microphone.close()
    assert audio.time.now_s <= 2.15 + CLOSE_TIMEOUT_S + 0.1
    audio.time.take(10.0)

    assert len(audio.sources) == 2
    assert all(source.closed for source in audio.sources)
    assert audio.n_abandoned == (opening_s > CLOSE_TIMEOUT_S)


def test_a_device_that_has_just_returned_is_closed(audio):
    """
    The call that opened it ended just before close.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(2.05, audio.plug_in)
    watched.read(2.105)
    audio.time.take(0.5)
    assert (len(audio.sources), watched.microphone.source) == (2, None)
    watched.microphone.close()

    assert all(source.closed for source in audio.sources)


def test_a_read_after_close_returns_nothing(audio):
    """
    In another thread; and nothing is opened.
    """
    watched = WatchedMicrophone(audio, reconnect=False)
    watched.microphone.open()
    watched.read(1.0)
    watched.microphone.close()
    n_calls = len(audio.calls)

    assert [watched.microphone.read(0.1) for _ in range(20)] == [None] * 20
    assert len(audio.calls) == n_calls
    assert watched.notified == []


def test_any_error_of_an_attempt_is_retried(audio):
    """
    Whatever a library raises, the next attempt follows.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()

    def rescan_devices() -> None:
        if audio.time.now_s < 4.0:
            raise OSError("ALSA has other plans")

    audio.rescan_devices = rescan_devices
    audio.at(2.0, audio.unplug)
    audio.at(3.0, audio.plug_in)
    watched.read(6.0)

    assert watched.microphone.source is audio.sources[1]
    assert len([chunk for _, chunk in watched.chunks if chunk.status_text]) == 1
    assert watched.stream_s == pytest.approx(6.0, abs=2 * BLOCK_S)


def test_an_error_of_closing_a_lost_device_is_ignored(audio):
    """
    The device is looked for as usual.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()

    def close() -> None:
        raise OSError("it is gone, what do you want")

    source.close = close
    audio.at(2.0, audio.unplug)
    audio.at(3.0, audio.plug_in)
    watched.read(6.0)

    assert watched.microphone.source is audio.sources[1]


@pytest.mark.parametrize("when", ["close", "open"])
def test_what_only_a_new_process_can_recover_is_an_error(audio, when):
    """
    A sound server that is gone for good ends the waiting.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()

    def gone() -> None:
        raise SoundServerGoneError("start it again")

    if when == "close":
        source.close = gone
    else:
        audio.rescan_devices = gone
    audio.at(2.0, audio.unplug)

    with pytest.raises(SoundServerGoneError, match="start it again"):
        watched.read(6.0)
    assert audio.time.now_s < 2.5
