"""What is missing in front of a piece of audio: gaps, drops, overflows."""

from __future__ import annotations

import pytest
from support.fake_audio import FakeAudio
from support.watched import BLOCK_S, WatchedMicrophone, read_until_it_is_back


@pytest.fixture
def audio():
    made = FakeAudio()
    yield made
    made.end()


@pytest.mark.parametrize("busy_s", [0.0, 0.7, 2.9])
def test_a_gap_begins_with_the_last_sample(audio, busy_s):
    """
    However busy the consumer was when the device went away.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(7.0, audio.plug_in)
    watched.read(1.9)
    audio.time.take(busy_s)
    watched.read(9.0)
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert returned.gap_s == pytest.approx(audio.source.opened_s - source.heard_s, abs=BLOCK_S)
    assert watched.stream_s == pytest.approx(9.0 - source.opened_s, abs=2 * BLOCK_S)


@pytest.mark.parametrize("clock_error", [-5e-4, 5e-4])
def test_a_wrong_device_clock_does_not_move_a_gap(audio, clock_error):
    """
    Half a second of drift after 17 minutes does not change when the device is lost.
    """
    audio.clock_error = clock_error
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.at(1_000.0, audio.unplug)
    audio.at(1_002.0, audio.plug_in)
    watched.read(1_004.0)
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert abs(source.counted.n_written / 16_000 - 1_000) > 0.4
    assert returned.gap_s == pytest.approx(audio.source.opened_s - source.heard_s, abs=BLOCK_S)


def test_samples_dropped_on_return_are_not_part_of_the_gap(audio):
    """
    They are counted once, if the consumer was busy while the device came back.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(4.0, audio.plug_in)
    watched.read(2.5)
    while watched.microphone.source is None:
        watched.microphone.read(0.25)
    audio.time.take(9.0)
    watched.read(20.0)
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert returned.dropped > 4 * 16_000
    assert returned.gap_s == pytest.approx(audio.source.opened_s - source.heard_s, abs=BLOCK_S)
    assert watched.stream_s == pytest.approx(20.0 - source.opened_s, abs=2 * BLOCK_S)


def test_a_device_that_returns_briefly_while_the_consumer_is_busy(audio):
    """
    Its few samples are delivered, and both gaps have the right length.
    """
    watched = WatchedMicrophone(audio)
    first = watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(3.0, audio.plug_in)
    read_until_it_is_back(watched)
    second = audio.source
    audio.at(second.opened_s + 0.4, audio.unplug)
    audio.at(second.opened_s + 2.0, audio.plug_in)
    audio.time.take(8.0)
    watched.read(20.0)
    gaps_s = [chunk.gap_s for _, chunk in watched.chunks if chunk.status_text]

    assert gaps_s == [
        pytest.approx(second.opened_s - first.heard_s, abs=BLOCK_S),
        pytest.approx(audio.source.opened_s - second.heard_s, abs=BLOCK_S),
    ]
    assert watched.stream_s == pytest.approx(20.0 - first.opened_s, abs=3 * BLOCK_S)


def test_a_late_first_block_is_part_of_the_gap(audio):
    """
    An idle sound server takes two seconds to deliver, and that audio is lost.
    """
    watched = WatchedMicrophone(audio)
    first = watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(3.0, audio.plug_in)
    read_until_it_is_back(watched)
    audio.source.stall(2.0, lossy=True)
    watched.read(10.0)
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    expected_s = audio.source.opened_s + 2.0 - first.heard_s
    assert returned.gap_s == pytest.approx(expected_s, abs=BLOCK_S)


def test_the_rate_may_change_after_a_return(audio):
    """
    Each chunk has its rate; the first one of the new device is a cut even without a gap.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(2.5, audio.plug_in)
    audio.at(2.5, lambda: setattr(audio, "rate", 48_000))
    read_until_it_is_back(watched)
    # The gap is taken up to now: the next chunk has none.
    watched.microphone.take_gap_s()
    watched.read(5.0)
    rates = [chunk.rate for _, chunk in watched.chunks]
    first = next(chunk for _, chunk in watched.chunks if chunk.rate == 48_000)

    assert sorted(set(rates)) == [16_000, 48_000]
    assert (first.gap_s, first.cut) == (0.0, True)
    assert first.status_text is not None


def test_a_gap_is_counted_once(audio):
    """
    Also if the caller stops during an outage and continues later.
    """
    watched = WatchedMicrophone(audio)
    started_s = watched.microphone.open().opened_s
    audio.at(2.0, audio.unplug)
    audio.at(6.0, audio.plug_in)
    watched.read(4.5)
    told_s = watched.microphone.take_gap_s()
    assert watched.microphone.take_gap_s() == 0.0
    watched.read(10.0)

    assert told_s == pytest.approx(2.5, abs=BLOCK_S)
    assert watched.stream_s + told_s == pytest.approx(10.0 - started_s, abs=2 * BLOCK_S)


def test_unread_audio_of_a_returned_device_is_not_a_gap(audio):
    """
    Even if the gap is asked for before it is read.
    """
    watched = WatchedMicrophone(audio)
    watched.microphone.open()
    audio.at(2.0, audio.unplug)
    audio.at(6.0, audio.plug_in)
    read_until_it_is_back(watched)
    audio.time.take(1.0)
    told_s = watched.microphone.take_gap_s()
    watched.read(10.0)
    (returned,) = [chunk for _, chunk in watched.chunks if chunk.status_text]

    assert told_s == pytest.approx(audio.source.opened_s - 2.0, abs=BLOCK_S)
    assert returned.gap_s == pytest.approx(0.0, abs=BLOCK_S)


def test_dropped_samples_are_reported_with_the_next_chunk(audio):
    """
    A consumer that is away for longer than the buffer lasts learns how much is missing.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    watched.read(1.0)
    audio.time.take(10.0)
    watched.read(12.0)
    (chunk,) = [chunk for _, chunk in watched.chunks if chunk.dropped]

    assert chunk.cut
    assert chunk.gap_s == 0.0
    assert len(chunk.samples) == source.counted.capacity == 4 * 16_000
    assert chunk.dropped / 16_000 == pytest.approx(10.0 - 4.0, abs=2 * BLOCK_S)
    assert watched.stream_s == pytest.approx(12.0 - source.opened_s, abs=BLOCK_S)


def test_an_overflow_is_a_cut_of_unknown_length(audio):
    """
    Input that the device lost is counted, and the next chunk is a cut.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    audio.at(2.0, lambda: source.overflow(0.2))
    watched.read(4.0)
    cuts = [(time_s, chunk) for time_s, chunk in watched.chunks if chunk.cut]

    assert watched.microphone.overflows == 1
    assert len(cuts) == 1
    assert cuts[0][0] == pytest.approx(2.2, abs=2 * BLOCK_S)
    assert (cuts[0][1].dropped, cuts[0][1].gap_s) == (0, 0.0)


def test_an_overflow_is_reported_with_its_block(audio):
    """
    Also if PortAudio's thread is preempted between the two.
    """
    watched = WatchedMicrophone(audio)
    source = watched.microphone.open()
    watched.read(1.0)
    source._n_overflows += 1
    assert watched.microphone.read(0.0) is None
    watched.read(2.0)

    assert next(chunk.cut for time_s, chunk in watched.chunks if time_s > 1.0)
    assert watched.microphone.overflows == 1
