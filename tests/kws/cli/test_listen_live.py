"""`kws-listen` on a made-up microphone: what goes where, and how it ends."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from support.fake_audio import RATE, FakeAudio, Room

from kws import KeywordSpotter, Listener, models
from kws.audio.capture_config import CaptureConfig
from kws.audio.files import read_file
from kws.audio.reconnect import CLOSE_TIMEOUT_S
from kws.cli import session as sessions
from kws.cli.session import Session
from kws.errors import DeviceError
from kws.live.recorder import DetectionRecorder
from kws.live.sinks import Outlets


@pytest.fixture(scope="module")
def spotter() -> KeywordSpotter:
    return KeywordSpotter.from_model("tiny", thresholds=0.8)


@pytest.fixture
def audio(monkeypatch):
    """A 48 kHz microphone in a room with the demo, in blocks of 5 ms; `kws-listen` finds it."""
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
    made = FakeAudio(Room(demo))
    made.rate = 48_000
    made.block_samples = lambda rate: rate // 200
    made.opening_s = lambda: 0.0
    monkeypatch.setattr("kws.live.listener.AudioSystem", lambda: made)
    yield made
    made.end()


def listen(spotter: KeywordSpotter, audio: FakeAudio, until_s: float, **outlets: object) -> Session:
    """Run a session up to an interrupt."""
    session = Session(spotter, outlets=Outlets(**outlets), as_json=True)
    audio.at(until_s, lambda: setattr(audio, "interrupted", True))
    with pytest.raises(KeyboardInterrupt):
        session.listen_live(None, CaptureConfig())
    return session


def test_a_detection_at_a_gap_is_kept(spotter, audio, tmp_path):
    """
    A device is lost just behind the hop that decides: its last samples come out of the resampler
    only with the gap, and the detection in them has its clip all the same, up to the gap.
    """
    listener = Listener(spotter, system=audio)
    with listener:
        first = next(iter(listener.detections(timeout_s=10.0)))
    opened_s = audio.time.now_s
    # All of the hop was delivered, but 12 ms of it are held back.
    audio.at(opened_s + first.time_s + 0.006, audio.unplug)
    audio.at(opened_s + first.time_s + 1.0, audio.plug_in)
    audio.room = Shifted(audio.room, opened_s)
    recorder = DetectionRecorder(tmp_path, sample_rate=RATE)

    listen(spotter, audio, opened_s + first.time_s + 1.6, recorder=recorder)

    (clip,) = tmp_path.glob("*.wav")
    assert first.keyword in clip.name
    samples, _ = soundfile.read(clip, dtype="int16")
    # 1.5 s before the moment of detection, and next to nothing behind it.
    assert 1.5 * RATE <= len(samples) < 1.51 * RATE


class Shifted(Room):
    """The same sound, which begins at another time."""

    def __init__(self, room: Room, start_s: float) -> None:
        self._room, self._start_s = room, start_s

    def hear(self, rate: int, start: int, n: int) -> np.ndarray:
        return self._room.hear(rate, start - round(self._start_s * rate), n)


def test_detections_samples_and_gaps_come_in_order(spotter, audio):
    """
    on_detection is called behind the samples that bring it, and before whatever follows.
    """
    seen = []
    listener = Listener(spotter, system=audio)
    listener.on_samples = lambda samples: seen.append(("samples", len(samples)))
    listener.on_detection = lambda detection: seen.append(("detection", detection.time_s))
    listener.on_gap = lambda n: seen.append(("gap", n))
    audio.at(5.0, audio.unplug)
    audio.at(6.0, audio.plug_in)
    with listener:
        found = list(listener.detections(timeout_s=12.0))
    fed = 0
    times = []
    for what, value in seen:
        if what == "detection":
            # At most a piece late.
            assert 0 <= fed / RATE - value < 0.1
            times.append(value)
        else:
            fed += value

    assert len(found) >= 4
    assert times == [detection.time_s for detection in found]


def test_an_open_listener_is_not_opened_again(spotter, audio):
    """
    One clear error, and the microphone that is open stays open until it is closed.
    """
    listener = Listener(spotter, system=audio)
    listener.open()
    with pytest.raises(DeviceError, match="open already; close it before it is opened again"):
        listener.open()
    listener.wait(timeout_s=1.0)
    assert len(audio.sources) == 1
    listener.close()
    listener.open()
    listener.close()

    assert [source.closed for source in audio.sources] == [True, True]


def test_the_end_is_shared_by_all_that_may_hang(spotter, audio, monkeypatch):
    """
    A server that hangs has had its time of the end: commands that still run get what is left,
    and both together stay well within a second.
    """
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=audio.time.look))
    audio.closing_s = lambda: math.inf

    session = listen(spotter, audio, 1.0)
    ended_s = audio.time.now_s

    assert session.rest_s() == pytest.approx(sessions.LEAST_REST_S)
    assert ended_s - 1.0 == pytest.approx(CLOSE_TIMEOUT_S, abs=0.01)
    assert ended_s - 1.0 + session.rest_s() < 0.6


def test_who_is_let_go_quickly_leaves_the_commands_all_the_time(spotter, audio, monkeypatch):
    """
    The check above can fail: without a hanging server it is half a second.
    """
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=audio.time.look))
    audio.closing_s = lambda: 0.0

    assert listen(spotter, audio, 1.0).rest_s() == pytest.approx(sessions.END_S, abs=0.01)
