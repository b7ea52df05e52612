"""Run a command at each detection, without a shell and without waiting for it."""

from __future__ import annotations

import logging
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kws.dataclass_io import check_range
from kws.decision.policy import Detection
from kws.errors import ConfigError
from kws.live.reports import RateLimitedLog
from kws.live.sinks import Sink

logger = logging.getLogger(__name__)
# Commands that may run at once; detections beyond that start none.
MAX_RUNNING = 8
# A command that runs longer gets SIGTERM, and SIGKILL after the grace period.
TIMEOUT_S = 30.0
GRACE_S = 2.0


@dataclass(eq=False)
class _Command:
    """A command that was started, in a process group of its own."""

    process: subprocess.Popen[bytes]
    keyword: str
    due_s: float
    """When it gets the next signal."""

    sent: signal.Signals | None = None
    """The last signal we sent."""

    left_alone: bool = False


class CommandRunner(Sink):
    """Start a command for each detection, with its standard output sent to standard error.

    Each runs in a session of its own: Ctrl-C at the terminal does not reach it, and its time-out
    ends its children too.

    Parameters
    ----------
    command : str
        Program and arguments, split like in a shell but run without one.
    timeout_s : float
        Longest time that a command may run; ``inf`` for no limit.
    clock : callable
        Seconds on a monotonic clock.

    Raises
    ------
    ConfigError
        If the command cannot be split, its program is missing, or the time is not above 0.
    """

    def __init__(
        self,
        command: str,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--exec {command!r}: {error}") from error
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise ConfigError(f"--exec {command!r}: expected a program that can be run")
        if timeout_s != math.inf:
            check_range("--exec-timeout", timeout_s, 0, above=True)
        self._name = Path(self._arguments[0]).name
        self._timeout_s = timeout_s
        self._clock = clock
        self._log = RateLimitedLog(logger, clock=clock)
        self._running: list[_Command] = []
        self.dropped = 0
        """Detections for which no command was started."""

    @property
    def n_running(self) -> int:
        """Commands that still ran at the last `poll`."""
        return len(self._running)

    def detection(self, detection: Detection) -> None:
        """Start the command with the detection in its environment; returns at once."""
        self.poll()
        if len(self._running) >= MAX_RUNNING:
            self.dropped += 1
            self._log.warn(
                "--exec: %d commands still run; none started for %s at %.2f s",
                MAX_RUNNING,
                detection.keyword,
                detection.time_s,
            )
            return
        try:
            process = self._start(detection)
        except OSError as error:
            self.dropped += 1
            self._log.warn(
                "--exec for %s: %s: %s", detection.keyword, self._name, error.strerror or error
            )
            return
        due_s = self._clock() + self._timeout_s
        self._running.append(_Command(process, detection.keyword, due_s))

    def poll(self) -> None:
        """Forget commands that ended, log those that failed, end those that timed out."""
        self._log.poll()
        if not self._running:
            return
        for command in self._running:
            self._check(command)
        self._running = [each for each in self._running if each.process.returncode is None]

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for the commands; kill those that timed out, leave the others."""
        deadline = time.monotonic() + timeout_s
        for command in self._running:
            # One that got SIGTERM must not be reaped before its group is killed: see `_check`.
            if command.sent is not signal.SIGTERM:
                _wait(command, deadline - time.monotonic())
            else:
                command.due_s = self._clock()
        self.poll()
        left = []
        for command in self._running:
            if command.sent is not None:
                _wait(command, deadline - time.monotonic())
            elif not command.left_alone:
                command.left_alone = True
                left.append(f"{command.process.pid} for {command.keyword}")
        if left:
            logger.warning(
                "--exec: %s still runs; left running: process %s", self._name, ", ".join(left)
            )
        self.poll()
        self._log.flush()

    def _start(self, detection: Detection) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "KWS_KEYWORD": detection.keyword,
            "KWS_SCORE": f"{detection.score:.4f}",
            "KWS_TIME_S": f"{detection.time_s:.3f}",
        }
        return subprocess.Popen(
            self._arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )

    def _check(self, command: _Command) -> None:
        """Send the signal that is due, and log how the command ended."""
        due = self._clock() >= command.due_s
        if command.sent is signal.SIGTERM:
            # Until it is reaped its id cannot be reused, so it is safe to signal the group, which
            # may hold children that outlived it.
            if due:
                self._signal(command, signal.SIGKILL)
                command.process.poll()
        elif command.process.poll() is None and command.sent is None and due:
            self._log.warn(
                "--exec for %s: %s (process %d) has run for %g s; sent SIGTERM",
                command.keyword,
                self._name,
                command.process.pid,
                self._timeout_s,
            )
            self._signal(command, signal.SIGTERM)
            command.due_s = self._clock() + GRACE_S
        if command.process.returncode is not None:
            self._log_end(command)

    def _signal(self, command: _Command, number: signal.Signals) -> None:
        command.sent = number
        try:
            os.killpg(command.process.pid, number)
        except ProcessLookupError:
            # It has ended meanwhile.
            pass
        except PermissionError:
            self._log.warn(
                "--exec for %s: %s (process %d) may not be signalled by this user",
                command.keyword,
                self._name,
                command.process.pid,
            )

    def _log_end(self, command: _Command) -> None:
        """Log how a command ended, unless it succeeded or ended on SIGTERM."""
        code = command.process.returncode
        if command.sent is not None:
            if code == -signal.SIGKILL:
                self._log.warn(
                    "--exec for %s: %s (process %d) did not end on SIGTERM; killed",
                    command.keyword,
                    self._name,
                    command.process.pid,
                )
        elif code > 0:
            self._log.warn("--exec for %s: %s ended with %d", command.keyword, self._name, code)
        elif code < 0:
            self._log.warn(
                "--exec for %s: %s was killed by %s",
                command.keyword,
                self._name,
                _signal_name(-code),
            )


def _wait(command: _Command, timeout_s: float) -> None:
    try:
        command.process.wait(max(0.0, timeout_s))
    except subprocess.TimeoutExpired:
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals have no name.
        return f"signal {number}"
