"""Notify systemd, if it runs us, that listening started and continues (sd_notify protocol)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from kws.live.reports import ListenerEvent
from kws.live.sinks import Sink

logger = logging.getLogger(__name__)
# A busy manager may block the listening thread this long; the audio buffer holds more.
SEND_TIMEOUT_S = 0.1
# systemd reads 4096 bytes of a datagram; a character may have four.
STATUS_CHARACTERS = 1_000


class ServiceNotifier(Sink):
    """Send the states of sd_notify(3) to a service manager; do nothing without one.

    No method raises: the first failure to send is logged.

    Parameters
    ----------
    address : str, optional
        The manager's datagram socket: a path, or ``@name`` for an abstract one.
    watchdog_s : float, optional
        The manager restarts a service that sends no keep-alive for this long. None: never.
    clock : callable
        Seconds on a monotonic clock.
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
        self._stopped = False

    @classmethod
    def from_environment(
        cls,
        environment: MutableMapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> ServiceNotifier:
        """Take the manager's variables out of the environment (default: this process').

        Programs that this process starts then cannot send states in its name.
        """
        if environment is None:
            environment = os.environ
        address, usec, pid = (
            environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        # The watchdog may be meant for another process.
        watched = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
        watchdog_s = int(usec) / 1e6 if watched else None
        return cls(address or None, watchdog_s=watchdog_s, clock=clock)

    def ready(self, text: str) -> None:
        """Report that the service has started; `systemctl status` shows `text`."""
        self._send(f"READY=1\nSTATUS={_one_line(text)}")

    def status(self, event: ListenerEvent) -> None:
        """Show the event in `systemctl status`."""
        self._send(f"STATUS={_one_line(event.text)}")

    def poll(self) -> None:
        """Send a keep-alive to the watchdog when half of its time has passed."""
        if self._interval_s is None or self._clock() < self._alive_next_s:
            return
        if self._send("WATCHDOG=1"):
            self._alive_next_s = self._clock() + self._interval_s

    def close(self, timeout_s: float = 0.0) -> None:
        """Report, once, that the service is about to end."""
        if not self._stopped:
            self._stopped = True
            self._send("STOPPING=1")

    def _send(self, state: str) -> bool:
        """Send a state; return whether that worked."""
        if self._address is None:
            return False
        address = self._address
        if address.startswith("@"):
            address = f"\0{address[1:]}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.sendto(state.encode(errors="replace"), address)
        except (OSError, ValueError) as error:
            if not self._failed:
                logger.warning("cannot notify the service manager at %s: %s", self._address, error)
            self._failed = True
            return False
        return True


def _one_line(text: str) -> str:
    """Return `text` on one line: a line break in a device's name must not start a new state."""
    return " ".join(text.split())[:STATUS_CHARACTERS]
