"""States sent to systemd, through real datagram sockets."""

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

from kws.live.reports import ListenerEvent
from kws.live.systemd import ServiceNotifier

# The most that systemd reads of a datagram.
DATAGRAM_BYTES = 4096


def lost(text: str) -> ListenerEvent:
    return ListenerEvent("lost", text, 0.0)


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


def test_states_arrive_as_systemd_reads_them(manager):
    """
    Ready, a new status, a keep-alive and the end, each a datagram as in sd_notify(3).
    """
    notifier = ServiceNotifier(manager.address, watchdog_s=30)

    notifier.ready("listening to USB at 16000 Hz")
    notifier.status(lost("USB is lost"))
    notifier.poll()
    notifier.close()

    assert [
        b"READY=1\nSTATUS=listening to USB at 16000 Hz",
        b"STATUS=USB is lost",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ] == manager.heard()


def test_an_abstract_socket_works():
    """
    A name that begins with @ is an abstract socket, as in containers and user sessions.
    """
    manager = Manager(f"@kws-{secrets.token_hex(8)}")

    ServiceNotifier(manager.address).status(lost("here"))

    assert [b"STATUS=here"] == manager.heard()
    manager.socket.close()


def test_nothing_happens_without_a_manager(caplog):
    """
    Started by hand: no error, no log, no open file.
    """
    files = set(Path("/proc/self/fd").iterdir())
    notifier = ServiceNotifier.from_environment({"HOME": "/"})

    notifier.ready("listening")
    notifier.poll()
    notifier.close()

    assert [] == caplog.records
    assert files == set(Path("/proc/self/fd").iterdir())


def test_keep_alives_come_at_half_of_the_watchdog_time(manager, clock):
    """
    However often the loop polls, one datagram goes out every half of WATCHDOG_USEC.
    """
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
    notifier = ServiceNotifier.from_environment(environment, clock=clock)

    sent_at = []
    for _ in range(41):
        notifier.poll()
        sent_at += [clock.now_s - 100 for _ in manager.heard()]
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
def test_only_the_watched_process_sends_keep_alives(manager, watchdog, expected):
    """
    Without a watchdog, or with that of another process, nothing is sent.
    """
    environment = {"NOTIFY_SOCKET": manager.address, **watchdog}

    ServiceNotifier.from_environment(environment).poll()

    assert expected == manager.heard()


def test_child_processes_do_not_inherit_the_manager(manager, monkeypatch):
    """
    A command run at a detection cannot send states in the service's name.
    """
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = ServiceNotifier.from_environment()

    code = "import os; print([n for n in os.environ if n.startswith(('NOTIFY', 'WATCHDOG'))])"
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    notifier.poll()

    assert "[]" == child.stdout.strip()
    assert [b"WATCHDOG=1"] == manager.heard()


def test_a_lost_manager_is_logged_once_and_never_raised(tmp_path, caplog):
    """
    A missing socket costs one line in the log, however many states there are.
    """
    notifier = ServiceNotifier(str(tmp_path / "gone"), watchdog_s=1)

    notifier.ready("listening")
    for _ in range(5):
        notifier.poll()
    notifier.close()

    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert str(tmp_path / "gone") in record.getMessage()


@pytest.mark.parametrize("address", ["vsock:2:1234", "/" + 200 * "x", "@\0\0", "/a\0b"])
def test_an_address_that_cannot_be_used_is_no_error(address, caplog):
    """
    An address that is no local socket is logged, not raised.
    """
    notifier = ServiceNotifier(address)

    notifier.status(lost("here"))

    assert 1 == len(caplog.records)


def test_a_manager_that_does_not_read_cannot_block_the_listener(manager, clock):
    """
    With its queue full, calls return, and the keep-alive follows when it reads.
    """
    notifier = ServiceNotifier(manager.address, watchdog_s=2, clock=clock)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                flood.sendto(b"STATUS=busy", manager.address)

    notifier.poll()
    missed = manager.heard()
    notifier.poll()

    assert {b"STATUS=busy"} == set(missed)
    assert [b"WATCHDOG=1"] == manager.heard()


def test_a_device_name_cannot_smuggle_a_state(manager):
    """
    Line breaks in a status, which could start a state of their own, become blanks.
    """
    ServiceNotifier(manager.address).ready("listening to USB\nMAINPID=1\r\n\n at 16 kHz")

    assert [b"READY=1\nSTATUS=listening to USB MAINPID=1 at 16 kHz"] == manager.heard()


def test_long_and_odd_texts_are_sent(manager):
    """
    A long status is cut to what systemd reads; what UTF-8 cannot hold is replaced.
    """
    notifier = ServiceNotifier(manager.address)

    notifier.ready(2_000 * "\U0001f399")
    notifier.status(lost("USB \udcff"))

    long, odd = manager.heard()
    assert "READY=1\nSTATUS=" + 1_000 * "\U0001f399" == long.decode()
    assert DATAGRAM_BYTES > len(long)
    assert b"STATUS=USB ?" == odd
