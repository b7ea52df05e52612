"""The microphone path on a real audio server."""

from __future__ import annotations

import json
import signal
import time

import pytest
import soundfile
from support.live_listening import listening, of_type, python, run, running, words

pytestmark = pytest.mark.live

CALLBACKS = """
import json, sys
from kws import KeywordSpotter, Listener

def report(name, detection):
    # One write: callbacks run in threads of their own.
    sys.stdout.write(json.dumps([name, detection.keyword]) + "\\n")

with Listener(KeywordSpotter.from_model("default"), device="pulse") as listener:
    listener.on("no", lambda detection: report("on no", detection))
    listener.on_any(lambda detection: report("on any", detection))
    listener.on("down", lambda detection: listener.stop())
    print("listening", flush=True)
    listener.wait(timeout_s=60)
    statistics = listener.statistics
print(json.dumps([statistics.detections, statistics.lost_samples]))
"""


def test_the_microphone_gives_the_words_of_the_file(virtual_microphone, demo):
    """
    The demo played to the microphone gives the same words in order; Ctrl-C ends with the
    summary.
    """
    environment = virtual_microphone.environment
    from_file = run("--input", str(demo), "--json", environment=environment)
    expected = words(from_file.stdout.splitlines())

    with listening(environment) as lines:
        started = time.monotonic()
        virtual_microphone.play(demo)
        heard = [lines.next() for _ in expected]
        rest, code = lines.end(signal.SIGINT)
        listened_s = time.monotonic() - started

    assert from_file.returncode == 0
    assert len(expected) == 10
    assert words(heard + rest) == expected
    (summary,) = of_type("summary", rest)
    assert summary["lost_samples"] == 0
    assert summary["detections"] == len(expected)
    assert soundfile.info(demo).duration - 0.5 < summary["audio_s"] < listened_s + 0.5
    assert code == 130


@pytest.mark.slow
def test_callbacks_get_live_detections(virtual_microphone, four_words):
    """
    `on` is called for its keyword, `on_any` for each, each in order; `stop` from a callback ends
    `wait`.
    """
    with running(python(CALLBACKS), virtual_microphone.environment) as lines:
        assert lines.next() == "listening"
        virtual_microphone.play(four_words)
        *heard, statistics = map(json.loads, lines.rest())
        code = lines.process.wait(10)

    assert [word for name, word in heard if name == "on no"] == ["no"]
    assert [word for name, word in heard if name == "on any"] == ["yes", "no", "up", "down"]
    assert statistics == [4, 0]
    assert code == 0


def test_list_devices_marks_the_default(virtual_microphone):
    """
    The virtual microphone is listed, and exactly one device is marked as the default.
    """
    plain = run("--list-devices", environment=virtual_microphone.environment)
    machine = run("--list-devices", "--json", environment=virtual_microphone.environment)
    devices = json.loads(machine.stdout)["devices"]

    assert plain.returncode == machine.returncode == 0
    assert "pulse" in {device["name"] for device in devices}
    (default,) = [device for device in devices if device["is_default"]]
    (marked,) = [line for line in plain.stdout.splitlines() if line.startswith("*")]
    assert marked.split()[1] == str(default["index"])
    assert default["name"] in marked
