"""Tell systemd, where it runs us, that listening began and goes on: its sd_notify protocol."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, MutableMapping

logger = logging.getLogger(__name__)
# A busy manager may hold up the listening thread for so long; the audio buffer holds more.
SEND_TIMEOUT_S = 0.1
# systemd reads 4096 bytes of a datagram; a character may have four.
STATUS_CHARACTERS = 1_000


class ServiceNotifier:
    """Send the states of sd_notify(3) to a service manager; without one, do nothing.

    No method raises: what cannot be sent is logged, once.

    Parameters
    ----------
    address : str, optional
        The manager's datagram socket: a path, or ``@name`` for an abstract one. None where
        nobody waits for states.
    watchdog_s : float, optional
        The manager restarts a service that gives no sign of life for so long. None: never.
    clock : callable
        Gives seconds that only go on.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._interval_s = None if watchdog_s is None else watchdog_s / 2
        self._clock = clock
        self._alive_next_s = clock()
        self._failed = False

    @classmethod
    def from_environment(
        cls,
        environment: MutableMapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> ServiceNotifier:
        """Take the manager's variables out of the environment (default: this process').

        The programs that this process starts thus cannot speak in its name.
        """
        if environment is None:
            environment = os.environ
        address, usec, pid = (
            environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        # With another process' number, the watchdog is that one's.
        watched = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
        watchdog_s = int(usec) / 1e6 if watched else None
        return cls(address or None, watchdog_s=watchdog_s, clock=clock)

    def ready(self, text: str) -> None:
        """Say that the service has started; `text` is what `systemctl status` shows."""
        self._send(f"READY=1\nSTATUS={_one_line(text)}")

    def status(self, text: str) -> None:
        """Change what `systemctl status` shows."""
        self._send(f"STATUS={_one_line(text)}")

    def alive(self) -> None:
        """Give the watchdog a sign of life, when half of its time has gone by since the last.

        To be called often, from the loop whose standstill is to be noticed.
        """
        if self._interval_s is None or self._clock() < self._alive_next_s:
            return
        if self._send("WATCHDOG=1"):
            self._alive_next_s = self._clock() + self._interval_s

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> bool:
        """Return whether the manager has been told."""
        if self._address is None:
            return False
        # Only a service pays for this import.
        import socket

        address = self._address
        if address.startswith("@"):
            address = f"\0{address[1:]}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.sendto(state.encode(errors="replace"), address)
        except (OSError, ValueError) as error:
            if not self._failed:
                logger.warning("the service manager at %s cannot be told: %s", self._address, error)
            self._failed = True
            return False
        return True


def _one_line(text: str) -> str:
    """Return `text` so that a line break in it, as of a device's name, is no state of its own."""
    return " ".join(text.split())[:STATUS_CHARACTERS]
