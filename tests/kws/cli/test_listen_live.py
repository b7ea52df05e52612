"""`kws-listen` on a simulated microphone: what goes where, and how it ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
from support.fake_audio import RATE, FakeAudio, Room
from support.logged import messages
from support.watched import WatchedListener

from kws import KeywordSpotter, Listener, models
from kws.audio.capture_config import CaptureConfig
from kws.audio.files import read_file
from kws.audio.reconnect import POLL_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.cli.output import Output
from kws.cli.session import RunCounts, Session
from kws.decision.policy import Detection
from kws.errors import DeviceError
from kws.live.command import CommandRunner
from kws.live.recorder import DetectionRecorder
from kws.live.sinks import Sink


@pytest.fixture(scope="module")
def spotter() -> KeywordSpotter:
    return KeywordSpotter.from_model("tiny", thresholds=0.8)


@pytest.fixture
def audio(monkeypatch):
    """A 48 kHz microphone with the demo, in blocks of 5 ms; `kws-listen` finds it."""
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
    made = FakeAudio(Room(demo))
    made.rate = 48_000
    made.block_samples = lambda rate: rate // 200
    made.opening_s = lambda: 0.0
    monkeypatch.setattr("kws.live.listener.AudioSystem", lambda: made)
    yield made
    made.end()


def listen(spotter: KeywordSpotter, audio: FakeAudio, until_s: float, *sinks: Sink) -> RunCounts:
    """Run a session until a signal at a time; return its counts."""

    def check_stop() -> None:
        if audio.time.now_s >= until_s:
            raise KeyboardInterrupt

    counts = RunCounts(spotter)
    session = Session(
        spotter,
        output=Output(as_json=True),
        counts=counts,
        sinks=[counts, *sinks],
        check_stop=check_stop,
    )
    with pytest.raises(KeyboardInterrupt):
        session.listen_live(None, CaptureConfig())
    return counts


def test_a_detection_at_a_gap_is_kept(spotter, audio, tmp_path):
    """
    A device is lost just after the deciding hop: its last samples leave the resampler only with
    the gap, and the detection in them still gets its clip, up to the gap.
    """
    listener = Listener(spotter, system=audio)
    with listener:
        first = next(iter(listener.detections(timeout_s=10.0)))
    opened_s = audio.time.now_s
    # The whole hop was delivered, but the resampler holds back 12 ms.
    audio.at(opened_s + first.time_s + 0.006, audio.unplug)
    audio.at(opened_s + first.time_s + 1.0, audio.plug_in)
    audio.room = Shifted(audio.room, opened_s)
    recorder = DetectionRecorder(tmp_path, sample_rate=RATE)

    listen(spotter, audio, opened_s + first.time_s + 1.6, recorder)

    (clip,) = tmp_path.glob("*.wav")
    assert first.keyword in clip.name
    samples, _ = soundfile.read(clip, dtype="int16")
    # 1.5 s before the moment of detection, and almost nothing after it.
    assert 1.5 * RATE <= len(samples) < 1.51 * RATE


class Shifted(Room):
    """The same sound, starting at another time."""

    def __init__(self, room: Room, start_s: float) -> None:
        self._room, self._start_s = room, start_s

    def hear(self, rate: int, start: int, n: int) -> np.ndarray:
        return self._room.hear(rate, start - round(self._start_s * rate), n)


def test_sinks_get_detections_samples_and_gaps_in_order(spotter, audio):
    """
    A detection comes after the samples that cause it, and before whatever follows.
    """
    watched = WatchedListener(spotter, audio)
    audio.at(5.0, audio.unplug)
    audio.at(6.0, audio.plug_in)
    with watched.listener as listener:
        found = list(listener.detections(timeout_s=12.0))
    fed = 0
    times = []
    for what, value in watched.order:
        if what == "detection":
            # At most one chunk late.
            assert 0 <= fed / RATE - value < 0.1
            times.append(value)
        else:
            fed += value

    assert len(found) >= 4
    assert times == [detection.time_s for detection in found]


def test_an_open_listener_is_not_opened_again(spotter, audio):
    """
    One clear error, and the open microphone stays open.
    """
    listener = Listener(spotter, system=audio)
    listener.open()
    with pytest.raises(DeviceError, match="open already; close it before opening it again"):
        listener.open()
    listener.wait(timeout_s=1.0)
    assert len(audio.sources) == 1
    listener.close()
    listener.open()
    listener.close()

    assert [source.closed for source in audio.sources] == [True, True]


@pytest.mark.parametrize("hangs", [False, True])
def test_a_signal_ends_it_within_half_a_second(spotter, audio, caplog, hangs):
    """
    Also if the sound server hangs and a command still runs: it is left running.
    """
    audio.closing_s = lambda: math.inf if hangs else 0.0
    command = CommandRunner("sleep 1000")
    command.detection(Detection("yes", 0.9, 0.0))
    counts = listen(spotter, audio, 1.0, command)
    process = command._running[0].process
    process.kill()
    process.wait(60)

    assert audio.time.now_s <= 1.0 + POLL_S + hangs * CLOSE_TIMEOUT_S + 0.01
    assert counts.counts()["audio_s"] == pytest.approx(1.0, abs=POLL_S + 0.05)
    assert messages(caplog)[-1].endswith(f"left running: process {process.pid} for yes")


def test_a_signal_ends_an_opening_that_hangs(spotter, audio):
    """
    The session does not wait the sound server's ten seconds.
    """
    audio.opening_s = lambda: math.inf

    counts = listen(spotter, audio, 1.0)

    assert audio.time.now_s <= 1.0 + POLL_S + CLOSE_TIMEOUT_S + 0.01
    assert counts.counts()["audio_s"] == 0.0
