"""Live listening with a real model, on simulated microphones in simulated time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.fake_audio import RATE, FakeAudio, Room
from support.watched import BLOCK_S, WatchedListener

from kws import KeywordSpotter, models
from kws.audio.conditioning import Conditioner
from kws.audio.files import read_file
from kws.errors import ConfigError, DeviceError


@pytest.fixture(scope="module")
def spotter() -> KeywordSpotter:
    """The smallest model, with a threshold low enough for words at any position in a hop."""
    return KeywordSpotter.from_model("tiny", thresholds=0.8)


@pytest.fixture(scope="module")
def demo() -> np.ndarray:
    """Ten words in 21.4 s."""
    return np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))


@pytest.fixture
def audio(demo):
    """A microphone with the demo, looped."""
    before = set(threading.enumerate())
    made = FakeAudio(Room(demo))
    yield made
    made.end()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def watched(spotter, audio):
    return WatchedListener(spotter, audio)


def test_live_detections_equal_those_of_the_same_samples(watched, audio, demo, spotter):
    """
    To the last bit; and the words of the file, at most one hop apart.
    """
    audio.opening_s = lambda: 0.0
    with watched.listener as listener:
        found = list(listener.detections(timeout_s=22.0))
    watched.check_counts()
    statistics = listener.statistics
    spotter.reset()
    plain = spotter.process(demo)
    conditioner = Conditioner(RATE, RATE)
    samples = [conditioner.push(demo[:800]), conditioner.push(demo[800:])]
    spotter.reset()

    assert found == spotter.process(np.concatenate(samples))
    assert len(plain) == 10
    assert [one.keyword for one in found] == [one.keyword for one in plain]
    assert max(abs(one.time_s - other.time_s) for one, other in zip(found, plain)) < 0.101
    assert statistics._replace(audio_s=0.0) == (0.0, 10, 0, 0, 0, 0, 0)
    assert 22.0 - statistics.audio_s <= BLOCK_S
    assert watched.events == []


def test_a_callback_may_stop_it(watched, audio):
    """
    `wait` returns within a poll of `stop`.
    """
    called = threading.Semaphore(0)
    watched.listener.on("no", lambda detection: watched.listener.stop())
    watched.listener.on_any(lambda detection: called.release())
    found = []
    with watched.listener as listener:
        for detection in listener.detections(timeout_s=100.0):
            found.append(detection.keyword)
            assert called.acquire(timeout=60)

    assert found == ["yes", "no"]
    assert audio.time.now_s < 4.0


def test_another_thread_may_close_it(watched, audio):
    """
    The waiting ends, and nothing is opened any more.
    """
    closing = threading.Thread(target=watched.listener.close)

    def close() -> None:
        if not closing.ident and audio.time.now_s > 5.0:
            closing.start()
            closing.join(60)

    watched.on_poll = close
    with watched.listener as listener:
        listener.wait(timeout_s=100.0)
        assert audio.time.now_s < 6.0
        with pytest.raises(DeviceError, match="the listener is not open"):
            listener.wait()

    assert watched.events == []
    assert [source.closed for source in audio.sources] == [True]


def test_a_muted_microphone_is_reported(spotter):
    """
    As an event, once.
    """
    audio = FakeAudio()
    watched = WatchedListener(spotter, audio)
    with watched.listener as listener:
        listener.wait(timeout_s=60.0)
    audio.end()

    assert watched.kinds() == ["silent"]
    assert watched.events[0][1].time_s == pytest.approx(15.0, abs=2 * BLOCK_S)


def test_clipping_by_the_gain_is_counted_and_reported(spotter, audio, demo):
    """
    The statistics contain each sample beyond full scale.
    """
    watched = WatchedListener(spotter, audio, gain_db=40.0)
    audio.opening_s = lambda: 0.0
    with watched.listener as listener:
        listener.wait(timeout_s=21.0)
    loud = np.count_nonzero(abs(demo[: watched.n_samples].astype(int)) > 327)

    assert "clipped" in watched.kinds()
    # The offset's filter moves a few samples over the edge.
    assert listener.statistics.clipped_samples == pytest.approx(loud, rel=0.02)


def test_it_can_be_opened_again(watched, audio):
    """
    All counts start at zero.
    """
    audio.at(2.0, audio.unplug)
    audio.at(4.0, audio.plug_in)
    with watched.listener as listener:
        listener.wait(timeout_s=10.0)
    before = listener.statistics
    with watched.listener:
        assert listener.statistics == (0.0, 0, 0, 0, 0, 0, 0)
        found = list(listener.detections(timeout_s=22.0))

    assert before.losses == 1
    assert len(found) == 10
    assert listener.statistics.losses == 0
    assert all(source.closed for source in audio.sources)


def test_a_failed_opening_leaves_nothing_open(watched, audio):
    """
    It can be tried again.
    """
    audio.unplug()
    with pytest.raises(DeviceError, match="no such input device"):
        watched.listener.open()
    audio.plug_in()
    with watched.listener as listener:
        listener.wait(timeout_s=2.0)

    assert [source.closed for source in audio.sources] == [True]


def test_a_closed_listener_is_an_error(watched):
    """
    Waiting without a microphone, or for an unknown keyword, is a mistake of the caller.
    """
    with pytest.raises(DeviceError, match="the listener is not open; use it in a with statement"):
        watched.listener.wait()
    with pytest.raises(DeviceError, match="the listener is not open"):
        _ = watched.listener.microphone
    with pytest.raises(ConfigError, match="keyword 'maybe': expected one of yes, no, up"):
        watched.listener.on("maybe", print)


def test_a_removed_hook_names_its_replacement(watched):
    """
    A program of 0.1 that assigns a hook does not lose its events in silence.
    """
    with pytest.raises(ConfigError, match=r"Listener\.on_event: replaced by .*sinks"):
        watched.listener.on_event = print


def test_listening_goes_on_after_a_break(watched):
    """
    A caller who leaves the loop and soon returns misses nothing.
    """
    found = []
    with watched.listener as listener:
        while len(found) < 10:
            for detection in listener.detections(timeout_s=30.0):
                found.append(detection.keyword)
                break
    watched.check_counts()

    assert found == ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
