"""What systemd is told: real datagram sockets, as its manager has them."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kws.live.systemd import ServiceNotifier

# systemd reads no more of a datagram.
DATAGRAM_BYTES = 4096


class Manager:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[bytes]:
        """Return the datagrams that have come since."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(10 * DATAGRAM_BYTES))
            except BlockingIOError:
                return found


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager with a socket in the file system."""
    # A socket's path may have 107 bytes; pytest's folders are longer under some users.
    with tempfile.TemporaryDirectory(prefix="kws") as folder:
        made = Manager(f"{folder}/notify")
        yield made
        made.socket.close()


class Clock:
    """A clock that goes when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_states_arrive_as_systemd_reads_them(manager):
    """
    Ready, a new status, a sign of life and the end, each a datagram in the words of sd_notify(3).
    """
    notifier = ServiceNotifier(manager.address, watchdog_s=30)

    notifier.ready("listening to USB at 16000 Hz")
    notifier.status("USB is lost")
    notifier.alive()
    notifier.stopping()

    assert [
        b"READY=1\nSTATUS=listening to USB at 16000 Hz",
        b"STATUS=USB is lost",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ] == manager.heard()


def test_an_abstract_socket_is_reached():
    """
    A name that begins with @ is an abstract socket, as in containers and user sessions.
    """
    manager = Manager(f"@kws-{secrets.token_hex(8)}")

    ServiceNotifier(manager.address).status("here")

    assert [b"STATUS=here"] == manager.heard()
    manager.socket.close()


def test_nothing_happens_without_a_manager(caplog):
    """
    Started by hand, there is nobody to tell: no error, no log, no open file.
    """
    files = set(Path("/proc/self/fd").iterdir())
    notifier = ServiceNotifier.from_environment({"HOME": "/"})

    notifier.ready("listening")
    notifier.alive()
    notifier.stopping()

    assert [] == caplog.records
    assert files == set(Path("/proc/self/fd").iterdir())


def test_signs_of_life_come_at_half_of_the_watchdogs_time(manager):
    """
    However often the loop comes round, one datagram goes every half of WATCHDOG_USEC.
    """
    clock = Clock()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
    notifier = ServiceNotifier.from_environment(environment, clock=clock)

    sent_at = []
    for _ in range(41):
        notifier.alive()
        sent_at += [clock.now_s - 1_000 for _ in manager.heard()]
        clock.now_s += 0.125

    assert [0, 1, 2, 3, 4, 5] == sent_at


@pytest.mark.parametrize(
    ("watchdog", "expected"),
    [
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, [b"WATCHDOG=1"]),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, []),
        ({"WATCHDOG_USEC": "0"}, []),
        ({"WATCHDOG_USEC": "soon"}, []),
        ({}, []),
    ],
    ids=["ours", "another's", "zero", "nonsense", "none"],
)
def test_only_the_process_that_is_watched_gives_signs_of_life(manager, watchdog, expected):
    """
    Without a watchdog, or with that of another process, no sign of life is sent.
    """
    environment = {"NOTIFY_SOCKET": manager.address, **watchdog}

    ServiceNotifier.from_environment(environment).alive()

    assert expected == manager.heard()


def test_child_processes_do_not_inherit_the_manager(manager, monkeypatch):
    """
    A command run at a detection cannot speak in the service's name.
    """
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = ServiceNotifier.from_environment()

    code = "import os; print([n for n in os.environ if n.startswith(('NOTIFY', 'WATCHDOG'))])"
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    notifier.alive()

    assert "[]" == child.stdout.strip()
    assert [b"WATCHDOG=1"] == manager.heard()


def test_a_lost_manager_is_logged_once_and_never_raised(tmp_path, caplog):
    """
    A socket that is not there costs one line in the log, however often it is spoken to.
    """
    notifier = ServiceNotifier(str(tmp_path / "gone"), watchdog_s=1)

    notifier.ready("listening")
    for _ in range(5):
        notifier.alive()
    notifier.stopping()

    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert str(tmp_path / "gone") in record.getMessage()


@pytest.mark.parametrize("address", ["vsock:2:1234", "/" + 200 * "x", "@\0\0", "/a\0b"])
def test_an_address_that_cannot_be_used_is_no_error(address, caplog):
    """
    What is no local socket is logged, not raised.
    """
    notifier = ServiceNotifier(address)

    notifier.status("here")

    assert 1 == len(caplog.records)


def test_a_manager_that_does_not_read_cannot_hold_up_the_listener(manager):
    """
    With its queue full, calls return all the same, and the sign of life follows when it reads.
    """
    clock = Clock()
    notifier = ServiceNotifier(manager.address, watchdog_s=2, clock=clock)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                flood.sendto(b"STATUS=busy", manager.address)

    notifier.alive()
    missed = manager.heard()
    notifier.alive()

    assert {b"STATUS=busy"} == set(missed)
    assert [b"WATCHDOG=1"] == manager.heard()


def test_a_device_name_cannot_smuggle_a_state(manager):
    """
    Line breaks in a status, which could hold a state of their own, become blanks.
    """
    ServiceNotifier(manager.address).ready("listening to USB\nMAINPID=1\r\n\n at 16 kHz")

    assert [b"READY=1\nSTATUS=listening to USB MAINPID=1 at 16 kHz"] == manager.heard()


def test_no_text_is_too_long_or_too_odd(manager):
    """
    A long status is cut to what systemd reads; what UTF-8 cannot hold is replaced.
    """
    notifier = ServiceNotifier(manager.address)

    notifier.ready(2_000 * "\U0001f399")
    notifier.status("USB \udcff")

    long, odd = manager.heard()
    assert "READY=1\nSTATUS=" + 1_000 * "\U0001f399" == long.decode()
    assert DATAGRAM_BYTES > len(long)
    assert b"STATUS=USB ?" == odd


def test_systemd_notify_and_this_module_say_the_same(manager):
    """
    The datagram is the one that systemd's own program sends, where there is one.
    """
    try:
        subprocess.run(
            ["systemd-notify", "--no-block", "--ready", "--status=listening"],
            env={**os.environ, "NOTIFY_SOCKET": manager.address},
            timeout=60,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("no systemd-notify")
    theirs = manager.heard()[0].split(b"\n")

    ServiceNotifier(manager.address).ready("listening")

    (ours,) = manager.heard()
    assert set(ours.split(b"\n")) <= set(theirs)


def test_importing_it_costs_nothing():
    """
    Started by hand, kws-listen does not even load the socket library for this.
    """
    code = "import sys, kws.live.systemd; print('socket' in sys.modules)"
    root = Path(__file__).parents[3]

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "False" == done.stdout.strip()
