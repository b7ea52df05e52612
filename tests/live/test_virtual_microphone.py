"""The microphone path on a real audio server: what is played is heard."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

import kws

pytestmark = pytest.mark.live

DEMO = Path(kws.__file__).resolve().parent.parent / "firmware_models" / "demo.wav"
KWS_LISTEN = str(Path(sysconfig.get_path("scripts")) / "kws-listen")
# Loading on a busy machine included.
LINE_TIMEOUT_S = 30
CALLBACKS = """
import json
from kws import KeywordSpotter, Listener

with Listener(KeywordSpotter.from_model("default"), device="pulse") as listener:
    listener.on("no", lambda detection: print(json.dumps(["on no", detection.keyword])))
    listener.on_any(lambda detection: print(json.dumps(["on any", detection.keyword])))
    listener.on("down", lambda detection: listener.stop())
    print("listening", flush=True)
    listener.wait(timeout_s=60)
    statistics = listener.statistics
print(json.dumps([statistics.detections, statistics.lost_samples]))
"""


class Lines:
    """The lines that a program prints, each awaited for a bounded time."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self) -> str | None:
        """Return the next line, or None at the end."""
        try:
            return self._lines.get(timeout=LINE_TIMEOUT_S)
        except queue.Empty:
            pytest.fail(f"{self.process.args}: printed nothing for {LINE_TIMEOUT_S} s")

    def rest(self) -> list[str]:
        """Return the lines up to the end."""
        return list(iter(self.next, None))

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@contextmanager
def running(command, microphone) -> Iterator[Lines]:
    """Run a program that hears the virtual microphone; it is ended with the block."""
    with subprocess.Popen(
        command,
        env=microphone.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Lines(process)
        finally:
            if process.poll() is None:
                process.kill()


def run(*arguments: str, microphone) -> subprocess.CompletedProcess:
    command = [KWS_LISTEN, *arguments]
    return subprocess.run(
        command, env=microphone.environment, capture_output=True, text=True, timeout=60
    )


def of_type(kind: str, lines: list[str]) -> list[dict]:
    return [record for record in map(json.loads, lines) if record["type"] == kind]


def words(lines: list[str]) -> list[str]:
    return [record["keyword"] for record in of_type("detection", lines)]


def test_microphone_hears_what_the_file_holds(virtual_microphone):
    """
    The demo played into the microphone gives the words, in order, that it gives as a file;
    Ctrl-C ends with the summary, and no sample is lost.
    """
    from_file = run("--input", str(DEMO), "--json", microphone=virtual_microphone)
    expected = words(from_file.stdout.splitlines())

    with running([KWS_LISTEN, "--device", "pulse", "--json"], virtual_microphone) as lines:
        status = json.loads(lines.next())
        started = time.monotonic()
        virtual_microphone.play(DEMO)
        heard = [lines.next() for _ in expected]
        lines.process.send_signal(signal.SIGINT)
        heard += lines.rest()
        listened_s = time.monotonic() - started
        code = lines.process.wait(10)

    assert from_file.returncode == 0
    assert len(expected) == 10
    assert (status["type"], status["event"]) == ("status", "listening")
    assert words(heard) == expected
    (summary,) = of_type("summary", heard)
    assert summary["lost_samples"] == 0
    assert summary["detections"] == len(expected)
    assert soundfile.info(DEMO).duration - 0.5 < summary["audio_s"] < listened_s + 0.5
    assert code == 130


def test_callbacks_hear_the_microphone(virtual_microphone, tmp_path):
    """
    `on` is called for its keyword, `on_any` for each, in order; `stop` from a callback ends `wait`.
    """
    samples, rate = soundfile.read(DEMO, frames=8 * 16_000, dtype="int16")
    soundfile.write(tmp_path / "start.wav", samples, rate)

    with running([sys.executable, "-u", "-c", CALLBACKS], virtual_microphone) as lines:
        assert lines.next() == "listening"
        virtual_microphone.play(tmp_path / "start.wav")
        *heard, statistics = map(json.loads, lines.rest())
        code = lines.process.wait(10)

    assert heard == [
        ["on any", "yes"],
        ["on no", "no"],
        ["on any", "no"],
        ["on any", "up"],
        ["on any", "down"],
    ]
    assert statistics == [4, 0]
    assert code == 0


def test_list_devices_marks_the_default(virtual_microphone):
    """
    The virtual microphone is listed, and exactly one device is marked as the default.
    """
    plain = run("--list-devices", microphone=virtual_microphone)
    machine = run("--list-devices", "--json", microphone=virtual_microphone)
    devices = json.loads(machine.stdout)["devices"]

    assert plain.returncode == machine.returncode == 0
    assert "pulse" in {device["name"] for device in devices}
    (default,) = [device for device in devices if device["is_default"]]
    (marked,) = [line for line in plain.stdout.splitlines() if line.startswith("*")]
    assert marked.split()[1] == str(default["index"])
    assert default["name"] in marked


def test_an_unknown_device_names_the_choices(virtual_microphone):
    """
    A device that is not there is one clear line with those that are, and exit code 1.
    """
    wrong = run("--device", "gramophone", microphone=virtual_microphone)

    assert wrong.returncode == 1
    assert wrong.stdout == ""
    (line,) = [line for line in wrong.stderr.splitlines() if "error:" in line]
    assert "'gramophone'" in line
    assert "pulse" in line
