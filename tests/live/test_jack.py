"""A microphone that refuses 16 kHz: JACK with its dummy driver at 48 kHz."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
import soxr
from support.live_listening import KWS_LISTEN, listening, of_type, running
from support.skips import without_audio_server

pytestmark = pytest.mark.live

RATE = 48_000
# ALSA's JACK plug-in: aplay becomes a client of JACK, connected to PortAudio's first input.
FEED = 'pcm.feed { type jack playback_ports { 0 "PortAudio:in_0" } }'
# A busy machine may lose audio on its way through JACK; then the words are played again.
PLAYS = 5


@pytest.fixture
def jack(server, tmp_path) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """A JACK server, and the environment in which it is the only sound server."""
    if shutil.which("jackd") is None or shutil.which("jack_wait") is None:
        without_audio_server("no jackd: apt install jackd2")
    name = f"kws-{os.getpid()}"
    environment = {
        **server.environment,
        "JACK_DEFAULT_SERVER": name,
        "JACK_NO_AUDIO_RESERVATION": "1",
    }
    # Long periods and a long client time-out, for busy machines; few ports, because a container may
    # have little shared memory.
    command = ["jackd", "--name", name, "--no-realtime", "--no-mlock", "--port-max", "128"]
    command += ["--timeout", "20000"]
    command += ["-d", "dummy"]
    settings = ["--rate", str(RATE), "--period", "4096", "--capture", "2", "--playback", "2"]
    with (
        open(tmp_path / "jack.log", "w") as log,
        subprocess.Popen([*command, *settings], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait = ["jack_wait", "--server", name, "--wait", "--timeout", "40"]
            subprocess.run(wait, env=environment, check=True, timeout=60, capture_output=True)
            yield process, environment
        finally:
            process.terminate()


def test_a_device_that_refuses_our_rate_is_resampled(jack, four_words, tmp_path):
    """
    It is opened at its own 48 kHz, which is printed once, and words played to it are detected.
    """
    _, environment = jack
    samples, rate = soundfile.read(four_words, dtype="float32")
    at_48_khz = soxr.resample(samples, rate, RATE)
    words = np.tile(at_48_khz, PLAYS)
    soundfile.write(tmp_path / "words.wav", words, RATE, subtype="FLOAT")
    (tmp_path / "asound.conf").write_text(FEED)
    feeding = {**environment, "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}
    play = ["aplay", "-q", "-D", "feed", "-f", "FLOAT_LE", str(tmp_path / "words.wav")]
    merged = ["sh", "-c", 'exec "$0" "$@" 2>&1', KWS_LISTEN, "--device", "system"]
    missing = {"yes", "no", "up", "down"}
    with running(merged, environment) as lines:
        # PortAudio and JACK may print before that.
        opened = next(line for line in iter(lines.next, None) if line.startswith("listening"))
        with subprocess.Popen(play, env=feeding) as player:
            while missing:
                line = lines.next()
                assert line is not None
                assert "listening" not in line
                if " s  " in line:
                    missing.discard(line.split()[2])
            player.kill()
        _, code = lines.end(signal.SIGTERM)

    assert opened.startswith("listening to system at 48000 Hz, resampled to 16000 Hz for: yes, no,")
    assert code == 130


@pytest.mark.slow
def test_a_jack_server_that_ends_ends_it(jack, tmp_path):
    """
    PortAudio cannot reconnect to JACK: that is one clear line and exit code 1, so that a service is
    started again.
    """
    process, environment = jack
    with listening(environment, "--device", "system", errors=tmp_path / "errors") as lines:
        # A killed one would stay registered in shared memory, which has room for eight.
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
