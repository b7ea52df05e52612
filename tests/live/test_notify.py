"""`kws-listen` under systemd: its notify socket, on a real audio server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

KWS_LISTEN = str(Path(sysconfig.get_path("scripts")) / "kws-listen")
# Loading on a busy machine included.
TIMEOUT_S = 30


def test_systemd_gets_ready_keep_alives_and_stopping(virtual_microphone):
    """
    Ready once the microphone is open, keep-alives from then on, and stopping on SIGTERM.
    """
    with (
        tempfile.TemporaryDirectory(prefix="kws") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(f"{folder}/notify")
        manager.settimeout(TIMEOUT_S)
        environment = {
            **virtual_microphone.environment,
            "NOTIFY_SOCKET": f"{folder}/notify",
            "WATCHDOG_USEC": "1000000",
        }
        command = [KWS_LISTEN, "--device", "pulse"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            heard = [manager.recv(4096)]
            while heard.count(b"WATCHDOG=1") < 4:
                heard.append(manager.recv(4096))
            process.send_signal(signal.SIGTERM)
            while heard[-1] != b"STOPPING=1":
                heard.append(manager.recv(4096))
            process.communicate(timeout=TIMEOUT_S)

    # A keep-alive may come before: opening a microphone can take long.
    assert 1 == sum(message.startswith(b"READY=1\nSTATUS=listening to pulse") for message in heard)
    assert {b"WATCHDOG=1", b"STOPPING=1"} >= {m for m in heard if b"STATUS=" not in m}
    assert 130 == process.returncode
