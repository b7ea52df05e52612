"""A microphone that comes back as another one, or not at all."""

from __future__ import annotations

import math

import pytest
from support.fake_audio import FakeAudio
from support.watched import BLOCK_S, WatchedMicrophone

from kws.audio.reconnect import HUNG_S, LONGEST_RETRY_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.errors import SoundServerGoneError


@pytest.fixture
def audio():
    made = FakeAudio()
    yield made
    made.end()


@pytest.mark.parametrize("what", ["opening_s", "closing_s"])
def test_a_call_that_hangs_for_a_minute_is_an_error(audio, what):
    """
    Only a new process can listen again.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    setattr(audio, what, lambda: math.inf)
    audio.at(2.0, audio.unplug)

    with pytest.raises(SoundServerGoneError) as caught:
        watched.read(600.0)
    assert str(caught.value) == (
        "device fake microphone: the sound server has not answered for 60 s; restart it, then "
        "start again"
    )
    assert 2.0 + HUNG_S < audio.time.now_s < 2.0 + HUNG_S + 2 * LONGEST_RETRY_S
    watched.microphone.close()
    assert audio.time.now_s < 2.0 + HUNG_S + 2 * LONGEST_RETRY_S + CLOSE_TIMEOUT_S
    assert audio.n_abandoned == 1


def test_a_server_that_answers_within_a_minute_is_waited_for(audio):
    """
    However slowly.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.opening_s = lambda: HUNG_S - 1.0
    audio.at(2.0, audio.unplug)
    audio.at(2.05, audio.plug_in)
    watched.read(2.0 + HUNG_S + 5.0)

    assert len([chunk for _, chunk in watched.chunks if chunk.status_text]) == 1


def test_a_different_default_device_is_named(audio):
    """
    The old one is not reported as back; from then on the new one may come back.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()

    def replace() -> None:
        audio.name = "webcam (hw:1,0)"
        audio.plug_in()

    def move() -> None:
        audio.name = "webcam (hw:3,0)"
        audio.plug_in()

    audio.at(2.0, audio.unplug)
    audio.at(4.0, replace)
    audio.at(8.0, audio.unplug)
    audio.at(9.0, move)
    watched.read(12.0)
    news = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert [chunk.status_text for chunk in news] == [
        f"fake microphone is gone; listening to webcam (hw:1,0) after {news[0].gap_s:.1f} s",
        f"webcam (hw:3,0) is back after {news[1].gap_s:.1f} s; listening goes on",
    ]
    assert [kind for _, kind, _ in watched.notified] == ["lost", "lost"]


def test_an_interrupt_ends_a_close_that_hangs(audio):
    """
    The process may end, and standard error is restored.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.closing_s = lambda: math.inf
    watched.read(1.0)

    def interrupt() -> None:
        raise KeyboardInterrupt

    audio.at(1.0 + CLOSE_TIMEOUT_S / 2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        watched.microphone.close()

    assert audio.time.now_s == pytest.approx(1.0 + CLOSE_TIMEOUT_S / 2, abs=BLOCK_S)
    assert audio.n_abandoned == 1
    assert audio.silenced_s[-1][1] is False
