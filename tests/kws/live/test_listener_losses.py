"""Live listening while the device comes and goes, or the machine cannot keep up."""

from __future__ import annotations

import csv
import logging
import math
import threading

import numpy as np
import pytest
from support.fake_audio import RATE, FakeAudio, Room
from support.watched import BLOCK_S, WatchedListener

from kws import KeywordSpotter, models
from kws.audio.files import read_file
from kws.audio.reconnect import POLL_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.live.listener import Listener
from kws.live.reports import REPORT_S

# Latest detection after the end of a word: rest of the window, smoothing, and hops.
LATEST_S = 1.0


@pytest.fixture(scope="module")
def spotter() -> KeywordSpotter:
    """The smallest model, with a threshold low enough for words at any position in a hop."""
    return KeywordSpotter.from_model("tiny", thresholds=0.8)


@pytest.fixture(scope="module")
def demo() -> np.ndarray:
    """Ten words in 21.4 s."""
    return np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))


@pytest.fixture(scope="module")
def words() -> list[tuple[str, float, float]]:
    """Its words with start and end."""
    with open(models.FIRMWARE_MODELS / "demo.csv", newline="") as file:
        return [
            (row["keyword"], float(row["start_s"]), float(row["end_s"]))
            for row in csv.DictReader(file)
        ]


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


@pytest.mark.parametrize(("rate", "rate_after"), [(44_100, 16_000)])
def test_every_word_is_detected_across_ten_losses(watched, audio, demo, words, rate, rate_after):
    """
    The device goes away between two words and returns, maybe at another rate; no word is missed
    or moved in time.
    """
    round_s = len(demo) / RATE
    audio.rate = rate
    for number in range(10):
        start_s = number * round_s
        audio.at(start_s + 7.3, lambda: audio.unplug(quietly=False))
        audio.at(start_s + 7.4, lambda: setattr(audio, "rate", rate_after))
        audio.at(start_s + 7.6, audio.plug_in)
    with watched.listener as listener:
        found = list(listener.detections(timeout_s=10 * round_s + 1.0))
        opened_s = audio.sources[0].opened_s
    watched.check_counts()

    assert [one.keyword for one in found] == 10 * [keyword for keyword, _, _ in words]
    for place, one in enumerate(found):
        number, (_, start_s, end_s) = place // len(words), words[place % len(words)]
        in_round_s = one.time_s + opened_s - number * round_s
        assert start_s < in_round_s < end_s + LATEST_S
    assert watched.kinds() == ["lost", "returned"] * 10
    assert listener.statistics.losses == 10
    assert {source.rate for source in audio.sources} == {rate, rate_after}


@pytest.mark.parametrize("quietly", [False, True])
def test_a_gap_counts_as_lost_samples(watched, audio, quietly):
    """
    From the last sample before to the first one after, to within a block; loss and return are
    reported once, at their stream time.
    """
    audio.at(5.0, lambda: audio.unplug(quietly=quietly))
    audio.at(11.0, audio.plug_in)
    with watched.listener as listener:
        listener.wait(timeout_s=16.0)
    watched.check_counts()
    first, second = audio.sources
    gap_s = second.opened_s - first.heard_s
    (_, lost), (_, returned) = watched.events

    assert listener.statistics.lost_samples / RATE == pytest.approx(gap_s, abs=BLOCK_S)
    assert (lost.kind, returned.kind) == ("lost", "returned")
    assert lost.time_s == pytest.approx(first.heard_s - first.opened_s, abs=BLOCK_S)
    assert returned.time_s == pytest.approx(lost.time_s + gap_s, abs=BLOCK_S)
    assert f"is back after {gap_s:.1f} s" in returned.text
    assert len(watched.gaps) == 1


def test_stages_are_reset_after_a_gap(watched, audio, spotter):
    """
    No window contains audio of both sides: the first posterior comes one window later.
    """
    times = []
    spotter.on_posterior = lambda time_s, *_: times.append(time_s)
    audio.at(5.0, audio.unplug)
    audio.at(8.0, audio.plug_in)
    with watched.listener as listener:
        listener.wait(timeout_s=12.0)
    spotter.on_posterior = None
    ((_, returned),) = [pair for pair in watched.events if pair[1].kind == "returned"]
    steps = np.diff(times)

    assert np.count_nonzero(steps > 0.101) == 1
    assert min(time_s for time_s in times if time_s > returned.time_s) == pytest.approx(
        returned.time_s + spotter.window_samples / RATE
    )


def test_audio_in_the_resampler_is_processed_before_the_gap(watched, audio):
    """
    A 48 kHz device loses nothing at its losses: a third of the delivered samples is processed.
    """
    audio.rate = 48_000
    for number in range(10):
        audio.at(2.0 + 4 * number, audio.unplug)
        audio.at(3.0 + 4 * number, audio.plug_in)
    with watched.listener as listener:
        listener.wait(timeout_s=40.9)
        away = [source.counted.n_written for source in audio.sources[:-1]]
    watched.check_counts()
    held_back = audio.source.counted.n_read / 3 - (watched.n_samples - sum(away) / 3)

    assert len(away) == 10
    assert 0 <= held_back < 0.05 * RATE
    assert listener.statistics.audio_s == pytest.approx(40.9, abs=5 * BLOCK_S)


@pytest.mark.parametrize("back_s", [6.0, math.inf])
def test_a_word_in_the_resampler_is_detected_at_the_loss(watched, audio, spotter, demo, back_s):
    """
    Not when the device returns, which may take hours.
    """
    opened_s = audio.opening_s()
    spotter.reset()
    expected = spotter.process(demo[round(opened_s * RATE) : 3 * RATE])[0]
    # The block that ends with the deciding hop has come, the next one has not.
    lost_s = opened_s + expected.time_s + BLOCK_S / 2
    audio.rate = 48_000
    audio.at(lost_s, audio.unplug)
    audio.at(back_s, audio.plug_in)
    with watched.listener as listener:
        found = [(audio.time.now_s, one) for one in listener.detections(timeout_s=7.0)]

    assert [(one.keyword, one.time_s) for _, one in found[:1]] == [
        (expected.keyword, expected.time_s)
    ]
    assert lost_s <= found[0][0] < lost_s + POLL_S


def test_the_gap_reaches_to_the_end_of_a_wait(watched, audio):
    """
    However long the last samples take to process.
    """
    audio.rate = 48_000
    audio.at(2.0, lambda: setattr(watched, "busy_s", 0.7))
    audio.at(2.0, audio.unplug)
    with watched.listener as listener:
        listener.wait(timeout_s=2.3)
        elapsed_s = audio.time.now_s - audio.source.opened_s
        told_s = listener.statistics.audio_s
    watched.check_counts()

    assert told_s == pytest.approx(elapsed_s, abs=1e-3)
    assert elapsed_s > 2.3


@pytest.mark.parametrize("opening_s", [0.0, 3.0, math.inf])
def test_it_may_be_stopped_during_an_outage(watched, audio, opening_s):
    """
    Also while the device is being opened, or hangs; stream time has gone on.
    """
    audio.at(5.0, audio.unplug)
    audio.at(5.05, lambda: setattr(audio, "opening_s", lambda: opening_s))
    audio.at(9.0, watched.listener.stop)
    with watched.listener as listener:
        listener.wait(timeout_s=100.0)
        assert audio.time.now_s == pytest.approx(9.0, abs=POLL_S + 0.01)
    watched.check_counts()

    assert audio.time.now_s <= 9.0 + CLOSE_TIMEOUT_S + POLL_S + 0.02
    assert listener.statistics.audio_s == pytest.approx(9.0, abs=POLL_S + 2 * BLOCK_S)
    assert audio.n_abandoned == (opening_s > CLOSE_TIMEOUT_S)


def test_an_interrupt_during_an_outage_counts_the_gap(watched, audio):
    """
    Everything is closed, and the statistics contain the whole time.
    """
    audio.at(5.0, audio.unplug)
    audio.at(9.0, lambda: setattr(audio, "interrupted", True))
    with pytest.raises(KeyboardInterrupt), watched.listener as listener:
        listener.wait(timeout_s=100.0)
    watched.check_counts()

    assert watched.listener.statistics.audio_s == pytest.approx(9.0, abs=POLL_S + 2 * BLOCK_S)
    assert audio.source.closed


def test_a_slow_machine_drops_the_oldest_audio(watched, audio):
    """
    Dropped samples are counted exactly, reported at most once a second, and completely in the
    end.
    """
    watched.busy_s = 7.0
    with watched.listener as listener:
        listener.wait(timeout_s=60.0)
        watched.busy_s = 0.0
        listener.wait(timeout_s=5.0)
    watched.check_counts()
    source = audio.source
    told_s = [time_s for time_s, event in watched.events if event.kind == "overload"]
    texts = [event.text for _, event in watched.events if event.kind == "overload"]

    assert set(watched.kinds()) == {"overload"}
    assert listener.statistics.lost_samples == source.counted.dropped_samples > 20 * RATE
    assert source.counted.n_read == watched.n_samples
    assert min(np.diff(told_s)) >= REPORT_S
    assert texts[0].endswith("s of audio lost: the machine cannot keep up")
    told_of_s = sum(float(text.split()[0]) for text in texts)
    assert told_of_s == pytest.approx(listener.statistics.lost_samples / RATE, abs=0.1)
    assert listener.statistics.audio_s == pytest.approx(audio.time.now_s, abs=0.1)


def test_overflows_of_the_device_are_counted_and_reported(watched, audio):
    """
    The count is exact, the stages are reset, and no length is assumed.
    """
    for time_s in (2.0, 2.2, 2.4, 8.0):
        audio.at(time_s, lambda: audio.source.overflow(0.1))
    with watched.listener as listener:
        listener.wait(timeout_s=12.0)
    watched.check_counts()

    assert listener.statistics.overflows == 4
    assert listener.statistics.lost_samples == 0
    assert watched.gaps == [0, 0, 0, 0]
    assert watched.kinds() == ["overflow"] * 3
    assert {event.text for _, event in watched.events} == {
        "the device lost input before delivering it"
    }


@pytest.mark.parametrize("opening_s", [0.01, math.inf])
def test_sinks_are_polled_whatever_the_device_does(watched, audio, opening_s):
    """
    Ten times a second, with and without a device.
    """
    audio.at(2.0, lambda: audio.unplug(quietly=True))
    audio.at(2.0, lambda: setattr(audio, "opening_s", lambda: opening_s))
    with watched.listener as listener:
        listener.wait(timeout_s=30.0)
        assert listener.microphone is None

    assert max(np.diff([0.0, *watched.polls_s, 30.0])) <= POLL_S + 1e-6


def test_events_are_logged(spotter, audio, caplog):
    """
    A loss and a return are warnings in the log.
    """
    listener = Listener(spotter, system=audio)
    audio.at(2.0, audio.unplug)
    audio.at(4.0, audio.plug_in)
    with caplog.at_level(logging.WARNING), listener:
        listener.wait(timeout_s=6.0)

    assert [record.getMessage().split(";")[-1] for record in caplog.records] == [
        " waiting for it to come back",
        " listening goes on",
    ]
