"""A real PulseAudio server of our own, with a virtual microphone; no hardware, no D-Bus."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("pulseaudio", "pactl", "paplay", "pacat")
PACKAGES = "libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
START_TIMEOUT_S = 10
SINK = "kws"


@dataclass(frozen=True)
class VirtualMicrophone:
    """What is played to it is heard by the device `pulse`, in programs run with its environment."""

    environment: dict[str, str]

    def play(self, path: Path) -> None:
        """Play a file to its end."""
        command = ["paplay", "--latency-msec=20", str(path)]
        subprocess.run(command, env=self.environment, check=True, timeout=60)


@pytest.fixture(scope="session")
def virtual_microphone(tmp_path_factory) -> Iterator[VirtualMicrophone]:
    """Start the server for this session and end it afterwards."""
    missing = _missing()
    if missing:
        message = f"no {', no '.join(missing)}: apt install {PACKAGES}"
        if os.environ.get("KWS_REQUIRE_LIVE"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("pulse")
    # A socket's path may have 107 bytes; pytest's folders are longer under some users.
    with _short_folder() as run, _interrupts_allowed(), open(folder / "log", "wb") as log:
        environment = {
            **os.environ,
            "HOME": str(folder),
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(run),
            "PULSE_SERVER": f"unix:{run}/native",
            "XDG_RUNTIME_DIR": str(run),
        }
        server = [
            "pulseaudio",
            *("-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--disable-shm=yes", "--realtime=no", "--high-priority=no"),
            *("-L", f"module-native-protocol-unix socket={run}/native auth-anonymous=1"),
            *("-L", f"module-null-sink sink_name={SINK} rate=16000 channels=1 format=s16le"),
        ]
        with _background(server, environment, log) as process:
            _wait_until_ready(process, environment, folder / "log")
            for what, name in (("sink", SINK), ("source", f"{SINK}.monitor")):
                command = ["pactl", f"set-default-{what}", name]
                subprocess.run(command, env=environment, check=True, timeout=10)
            # An idle monitor delivers its first block a second late; this keeps it awake.
            awake = ["pacat", "--latency-msec=10", "--raw", "--format=s16le", "--rate=16000"]
            with _background([*awake, "--channels=1", "/dev/zero"], environment, log):
                yield VirtualMicrophone(environment)


def _missing() -> list[str]:
    """Return what a virtual microphone needs and this machine lacks."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("PortAudio")
    plugin = "alsa-lib/libasound_module_pcm_pulse.so"
    if not any([*Path("/usr/lib").glob(f"*/{plugin}"), *Path("/usr").glob(f"lib*/{plugin}")]):
        missing.append("ALSA plugin for PulseAudio")
    return missing


@contextmanager
def _short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kws") as name:
        yield Path(name)


@contextmanager
def _interrupts_allowed() -> Iterator[None]:
    """Let child processes take SIGINT even where a shell started us with it ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _background(command, environment, log) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process, environment, log: Path) -> None:
    ask = ["pactl", "info"]
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if subprocess.run(ask, env=environment, capture_output=True, timeout=10).returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"pulseaudio did not start: {log.read_text(errors='replace')[-2000:]}")
