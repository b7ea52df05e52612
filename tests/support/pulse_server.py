"""A PulseAudio server of our own with virtual microphones; no hardware, no D-Bus, no sleep."""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("pulseaudio", "pactl", "paplay")
PACKAGES = "libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
START_TIMEOUT_S = 10
SINK = "kws"
# Without norewinds an idle null sink renders two seconds at a time, and the first block that a
# listener gets is as late as that; with it, it takes 50 ms like a sound card.
SINK_ARGUMENTS = "sink_name={} rate={} channels={} format=s16le norewinds=1"


def missing_parts() -> list[str]:
    """Return what a virtual microphone needs and this machine lacks."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("PortAudio")
    plugin = "alsa-lib/libasound_module_pcm_pulse.so"
    if not any([*Path("/usr/lib").glob(f"*/{plugin}"), *Path("/usr").glob(f"lib*/{plugin}")]):
        missing.append("ALSA plugin for PulseAudio")
    return missing


class PulseServer:
    """A server that can be killed, frozen and started again, and whose microphones come and go.

    What is played to a sink is heard by the device `pulse`, in programs run with `environment`.

    Parameters
    ----------
    folder : Path
        Its socket, its log and its home; with a short path, for a socket's may have 107 bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
            "XDG_RUNTIME_DIR": str(folder),
            # PortAudio looks for JACK, too, and would start it.
            "JACK_NO_START_SERVER": "1",
        }
        self._folder = folder
        self._process: subprocess.Popen | None = None
        self._modules: dict[str, str] = {}

    def start(self, *, plugged_in: bool = True, rate: int = 16_000, n_channels: int = 1) -> None:
        """Start the server with one microphone, or none, and wait until it answers."""
        command = [
            "pulseaudio",
            *("-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--disable-shm=yes", "--realtime=no", "--high-priority=no"),
            *("-L", f"module-native-protocol-unix socket={self._folder}/native auth-anonymous=1"),
        ]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._ask("info").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_end = (self._folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"pulseaudio did not start: {log_end}")
            time.sleep(0.02)
        if plugged_in:
            self.plug_in(rate=rate, n_channels=n_channels)

    def stop(self) -> None:
        """End the server, frozen or not; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """Let the server crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let the server hang, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def plug_in(self, name: str = SINK, *, rate: int = 16_000, n_channels: int = 1) -> None:
        """Add a microphone; the last one becomes the default."""
        loaded = self._ask(
            "load-module", "module-null-sink", SINK_ARGUMENTS.format(name, rate, n_channels)
        )
        loaded.check_returncode()
        self._modules[name] = loaded.stdout.strip()
        self._ask("set-default-sink", name).check_returncode()
        self._ask("set-default-source", f"{name}.monitor").check_returncode()

    def unplug(self, name: str = SINK) -> None:
        """Take a microphone away."""
        self._ask("unload-module", self._modules.pop(name)).check_returncode()

    def play(self, path: Path, *, sink: str = SINK) -> None:
        """Play a file to its end."""
        with self.playing(path, sink=sink) as player:
            assert player.wait(60) == 0

    @contextlib.contextmanager
    def playing(self, path: Path, *, sink: str = SINK) -> Iterator[subprocess.Popen]:
        """Play a file during the block, if it lasts as long."""
        # With less, a busy machine leaves gaps, and the listener wakes up too often.
        command = ["paplay", "--latency-msec=200", f"--device={sink}", str(path)]
        with subprocess.Popen(command, env=self.environment) as player:
            try:
                yield player
            finally:
                player.kill()

    def hearing(self, name: str) -> dict[str, str]:
        """Return the environment in which the device `pulse` is another microphone."""
        return {**self.environment, "PULSE_SOURCE": f"{name}.monitor"}

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, text=True, timeout=10
        )
