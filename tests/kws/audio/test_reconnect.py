"""A microphone that comes back: opened, watched, lost, and looked for."""

from __future__ import annotations

import math

import pytest
from support.fake_audio import FakeAudio
from support.watched import BLOCK_S, WatchedMicrophone

from kws.audio.reconnect import FIRST_RETRY_S, LONGEST_RETRY_S, OPEN_TIMEOUT_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.errors import DeviceError


@pytest.fixture
def audio():
    made = FakeAudio()
    yield made
    made.end()


def attempts(audio: FakeAudio, after_s: float) -> list[float]:
    return [time_s for time_s, _ in audio.asked if time_s > after_s]


def test_all_samples_are_delivered(audio):
    """
    Without trouble no sample is missing and no chunk is marked as a cut.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    watched.read(10.0)

    assert watched.microphone.source is source
    assert 10.0 - source.opened_s - BLOCK_S <= watched.stream_s <= 10.0 - source.opened_s
    assert {len(chunk.samples) for _, chunk in watched.chunks} == {800}
    assert {(chunk.dropped, chunk.gap_s, chunk.cut) for _, chunk in watched.chunks} == {
        (0, 0.0, False)
    }
    assert watched.notified == []


def test_a_read_ends_in_time(audio):
    """
    Without audio, with a lost device, and with an opening that hangs, it returns in time.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, lambda: audio.unplug(quietly=True))
    audio.at(8.0, lambda: setattr(audio, "opening_s", lambda: math.inf))
    while audio.time.now_s < 20.0:
        before_s = audio.time.now_s
        watched.microphone.read(0.1)
        assert audio.time.now_s - before_s <= 0.1 + 1e-9


def test_a_first_opening_that_fails_is_an_error(audio):
    """
    A device that was never there is not waited for.
    """
    audio.unplug()
    watched = WatchedMicrophone(audio, "usb")

    with pytest.raises(DeviceError, match="device 'usb': no such input device"):
        watched.microphone.open()
    assert len(audio.asked) == 1


def test_a_first_opening_that_hangs_is_an_error(audio):
    """
    After 10 s the sound server counts as hanging; close abandons the call.
    """
    audio.opening_s = lambda: math.inf
    watched = WatchedMicrophone(audio)

    with pytest.raises(DeviceError, match="sound server has not answered for 10 s; restart it"):
        watched.microphone.open()
    assert audio.time.now_s == pytest.approx(OPEN_TIMEOUT_S, abs=0.11)
    watched.microphone.close()
    assert audio.time.now_s == pytest.approx(OPEN_TIMEOUT_S + CLOSE_TIMEOUT_S, abs=0.11)
    assert audio.n_abandoned == 1


def test_a_stream_that_ends_is_lost_at_once(audio):
    """
    The end is reported at once; the device is closed, and opened again when it is back.
    """
    watched = WatchedMicrophone(audio)
    first = watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(7.0, audio.plug_in)
    watched.read(9.0)
    ((lost_s, kind, text),) = watched.notified
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert (kind, lost_s) == ("lost", pytest.approx(2.0, abs=0.01))
    assert text == (
        "device fake microphone: the stream ended (is it unplugged?); waiting for it to come back"
    )
    assert first.closed
    assert watched.microphone.source is audio.sources[1]
    assert watched.microphone.n_losses == 1
    assert returned.status_text == (
        f"fake microphone is back after {returned.gap_s:.1f} s; listening goes on"
    )
    assert returned.cut


def test_a_device_that_delivers_nothing_is_lost(audio):
    """
    After stall_s without a block; a silent room does not count.
    """
    watched = WatchedMicrophone(audio, stall_s=1.5)
    watched.microphone.open()
    audio.at(2.0, lambda: audio.unplug(quietly=True))
    watched.read(6.0)
    ((lost_s, _, text),) = watched.notified
    last_s = watched.chunks[-1][0]

    assert lost_s == pytest.approx(last_s + 1.5)
    assert text == "device fake microphone: no audio for 1.5 s; waiting for it to come back"


def test_a_short_stall_is_no_loss(audio):
    """
    Late audio arrives, and nothing is missing.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.at(2.0, lambda: source.stall(2.8, lossy=False))
    watched.read(10.0)

    assert watched.notified == []
    assert [chunk for time_s, chunk in watched.chunks if 2.06 < time_s < 4.79] == []
    assert 10.0 - source.opened_s - watched.stream_s <= BLOCK_S
    assert len(audio.sources) == 1


def test_a_slow_consumer_is_no_loss(audio):
    """
    After more than stall_s without a read, audio is waiting.
    """
    watched = WatchedMicrophone(audio, stall_s=0.5)
    watched.microphone.open()
    watched.read(1.0)
    audio.time.take(3.0)
    watched.read(5.0)

    assert watched.notified == []
    assert watched.stream_s > 4.9


def test_the_retry_interval_doubles_up_to_half_a_second(audio):
    """
    0.1, 0.2, 0.4 and then 0.5 s between attempts, for as long as it takes.
    """
    audio.opening_s = audio.closing_s = lambda: 0.0
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    watched.read(62.0)
    times = attempts(audio, 1.0)
    pauses = [later - sooner for sooner, later in zip([2.0, *times], times)]

    assert pauses[:3] == pytest.approx([FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S])
    assert pauses[3:] == pytest.approx([LONGEST_RETRY_S] * len(pauses[3:]))
    assert len(times) > 115


def test_the_retry_interval_starts_again_after_a_return(audio):
    """
    The next loss is retried as soon as the first.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    for start_s in (2.0, 32.0):
        audio.at(start_s, audio.unplug)
        audio.at(start_s + 20.0, audio.plug_in)
    watched.read(60.0)
    first, second = attempts(audio, 2.0)[0] - 2.0, attempts(audio, 32.0)[0] - 32.0

    assert first == pytest.approx(FIRST_RETRY_S, abs=0.01)
    assert second == pytest.approx(first, abs=1e-6)


def test_a_device_that_opens_but_stays_silent_is_one_loss(audio):
    """
    It is closed and tried again; its loss and return are reported once.
    """
    watched = WatchedMicrophone(audio, stall_s=0.5)
    watched.microphone.open()
    audio.at(2.0, lambda: audio.unplug(quietly=True))
    audio.at(2.1, audio.plug_in)
    audio.delay_s = lambda: 0.0 if not 2.1 < audio.time.now_s < 6.0 else 100.0
    watched.read(12.0)

    assert len(audio.sources) >= 5
    assert all(source.closed for source in audio.sources[:-1])
    assert [kind for _, kind, _ in watched.notified] == ["lost"]
    assert len([chunk for _, chunk in watched.chunks if chunk.status_text]) == 1
    assert watched.microphone.n_losses == 1
    assert watched.stream_s == pytest.approx(12.0, abs=3 * BLOCK_S)


def test_without_reconnection_a_loss_is_an_error(audio):
    """
    The error gives the reason; close still closes the device.
    """
    watched = WatchedMicrophone(audio, reconnect=False)
    source = watched.microphone.open()
    audio.at(2.0, audio.unplug)

    with pytest.raises(DeviceError) as caught:
        watched.read(5.0)
    assert str(caught.value) == "device fake microphone: the stream ended (is it unplugged?)"
    assert audio.time.now_s == pytest.approx(2.0, abs=BLOCK_S)
    watched.microphone.close()
    assert source.closed
    assert len(audio.sources) == 1


def test_a_device_is_opened_again_by_its_name(audio):
    """
    An index is only for the first opening: another device may have it by then.
    """
    watched = WatchedMicrophone(audio, 3)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(4.0, audio.plug_in)
    watched.read(6.0)

    assert audio.asked[0][1] == 3
    assert {device for _, device in audio.asked[1:]} == {"fake microphone"}


def test_devices_are_rescanned(audio):
    """
    PortAudio lists devices only once: from the second attempt on it is restarted.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    watched.read(6.0)

    assert len(attempts(audio, 2.0)) > 4
    assert len(audio.rescanned_s) == len(attempts(audio, 2.0)) - 1
