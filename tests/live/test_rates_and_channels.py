"""Microphones of other rates and with several channels, on a real audio server."""

from __future__ import annotations

import contextlib
import json
import signal

import numpy as np
import pytest
import soundfile
from support.live_listening import listening, of_type, python, running, words

pytestmark = pytest.mark.live

FOUR_WORDS = ["yes", "no", "up", "down"]
# A sound server takes any rate; this asks it for the device's own, as if 16 kHz were refused.
NATIVE_RATE = """
import json, sys
from kws import KeywordSpotter, Listener
from kws.audio.source import AudioSystem

class NativeRate(AudioSystem):
    def open(self, device, **settings):
        return super().open(device, **{**settings, "sample_rate": int(sys.argv[1])})

spotter = KeywordSpotter.from_model("default")
with Listener(spotter, device="pulse", system=NativeRate()) as listener:
    listener.on("down", lambda detection: listener.stop())
    print(json.dumps([listener.microphone.rate, listener.microphone.n_channels]), flush=True)
    heard = [detection.keyword for detection in listener.detections(timeout_s=60)]
    print(json.dumps([heard, listener.statistics.lost_samples]))
"""


@pytest.mark.slow
def test_microphones_of_any_rate_work(server, four_words):
    """
    Words played to microphones of 44.1 and 48 kHz are detected, whether the sound server
    resamples or we do.
    """
    server.start(rate=48_000)
    server.plug_in("cd", rate=44_100)
    with contextlib.ExitStack() as stack:
        served = [
            stack.enter_context(listening(server.hearing(name), "--device", "pulse"))
            for name in ("kws", "cd")
        ]
        native = [
            stack.enter_context(running(python(NATIVE_RATE, str(rate)), server.hearing(name)))
            for name, rate in (("kws", 48_000), ("cd", 44_100))
        ]
        opened = [json.loads(lines.next()) for lines in native]
        with server.playing(four_words, sink="kws"), server.playing(four_words, sink="cd"):
            ours = [json.loads(lines.next()) for lines in native]
            for lines in served:
                lines.until(type="detection", keyword="down")
        ends = [lines.end(signal.SIGTERM) for lines in served]

    assert opened == [[48_000, 1], [44_100, 1]]
    assert ours == [[FOUR_WORDS, 0]] * 2
    summaries = [of_type("summary", rest)[0] for rest, _ in ends]
    assert [(4, 0)] * 2 == [(each["detections"], each["lost_samples"]) for each in summaries]


@pytest.mark.slow
def test_one_channel_can_be_chosen(server, four_words, rng, tmp_path):
    """
    Words on the left and noise on the right: --channel 1 detects the words, --channel 2
    nothing.
    """
    speech, rate = soundfile.read(four_words, dtype="int16")
    noise = rng.normal(0, 3_000, len(speech)).astype(np.int16)
    soundfile.write(tmp_path / "stereo.wav", np.stack([speech, noise], axis=1), rate)
    server.start(n_channels=2)
    with contextlib.ExitStack() as stack:
        left, right = (
            stack.enter_context(
                listening(
                    server.environment,
                    *("--device", "pulse", "--channel", channel),
                    errors=tmp_path / channel,
                )
            )
            for channel in ("1", "2")
        )
        server.play(tmp_path / "stereo.wav")
        heard = [left.next() for _ in FOUR_WORDS]
        (rest, code), (other, _) = left.end(signal.SIGTERM), right.end(signal.SIGTERM)

    assert words(heard + rest) == FOUR_WORDS
    assert words(other) == []
    assert of_type("summary", other)[0]["audio_s"] > 7
    assert code == 130
