"""A microphone that refuses 16 kHz: JACK with its dummy driver at 48 kHz."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
import soundfile
import soxr
from support.live_listening import KWS_LISTEN, listening, of_type, running
from support.skips import without_audio_server

pytestmark = pytest.mark.live

RATE = 48_000
# The plug-in that comes with the one for PulseAudio: aplay becomes a client of JACK, and is
# connected to what PortAudio calls its first input.
FEED = 'pcm.feed { type jack playback_ports { 0 "PortAudio:in_0" } }'


@pytest.fixture
def jack(server, tmp_path) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """A JACK server, and the environment that finds it and no other sound server."""
    if shutil.which("jackd") is None or shutil.which("jack_wait") is None:
        without_audio_server("no jackd: apt install jackd2")
    name = f"kws-{os.getpid()}"
    environment = {
        **server.environment,
        "JACK_DEFAULT_SERVER": name,
        "JACK_NO_AUDIO_RESERVATION": "1",
    }
    # Long periods, so that a busy machine makes no gaps; few ports, because a container may have
    # little shared memory.
    command = ["jackd", "--name", name, "--no-realtime", "--no-mlock", "--port-max", "128"]
    command += ["-d", "dummy"]
    settings = ["--rate", str(RATE), "--period", "2048", "--capture", "2", "--playback", "2"]
    with (
        open(tmp_path / "jack.log", "w") as log,
        subprocess.Popen([*command, *settings], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait = ["jack_wait", "--server", name, "--wait", "--timeout", "10"]
            subprocess.run(wait, env=environment, check=True, timeout=20, capture_output=True)
            yield process, environment
        finally:
            process.terminate()


def test_a_device_that_refuses_our_rate_is_resampled(jack, four_words, tmp_path):
    """
    It is opened at its own 48 kHz, which is said once, and words played to it are heard.
    """
    _, environment = jack
    samples, rate = soundfile.read(four_words, dtype="float32")
    at_48_khz = soxr.resample(samples, rate, RATE)
    soundfile.write(tmp_path / "words.wav", at_48_khz, RATE, subtype="FLOAT")
    (tmp_path / "asound.conf").write_text(FEED)
    feeding = {**environment, "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}
    merged = ["sh", "-c", 'exec "$0" "$@" 2>&1', KWS_LISTEN, "--device", "system"]
    with running(merged, environment) as lines:
        # PortAudio and JACK may have something to say before.
        opened = next(line for line in iter(lines.next, None) if line.startswith("listening"))
        play = ["aplay", "-q", "-D", "feed", "-f", "FLOAT_LE", str(tmp_path / "words.wav")]
        subprocess.run(play, env=feeding, check=True, timeout=30)
        rest, code = lines.end(signal.SIGTERM)

    assert opened.startswith("listening to system at 48000 Hz, resampled to 16000 Hz for: yes, no,")
    assert [] == [line for line in rest if "listening" in line]
    heard = [line.split()[2] for line in rest if " s  " in line]
    assert heard == ["yes", "no", "up", "down"]
    assert code == 130


def test_a_jack_server_that_ends_ends_it(jack, tmp_path):
    """
    PortAudio cannot get over the end of a JACK server: that is one clear line and exit code 1, so
    that a service is started again.
    """
    process, environment = jack
    with listening(environment, "--device", "system", errors=tmp_path / "errors") as lines:
        # One that was killed would stay registered in shared memory, which knows eight at most.
        process.terminate()
        lines.until(event="lost")
        rest = lines.rest()
        code = lines.process.wait(10)

    assert code == 1
    assert [record["losses"] for record in of_type("summary", rest)] == [1]
    errors = (tmp_path / "errors").read_text().splitlines()
    (line,) = [line for line in errors if line.startswith("kws-listen: error:")]
    assert "JACK" in line
    assert "start it again" in line
