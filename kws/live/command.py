"""Run a command at each detection: without a shell, without waiting for it."""

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

from kws.decision.policy import Detection
from kws.errors import ConfigError
from kws.live.rate_limited_log import PacedLog

logger = logging.getLogger(__name__)
# Commands that may run at once; more detections than that are not passed on.
MAX_RUNNING = 8
# A command that runs longer is told to end, and killed if it has not after the grace.
TIMEOUT_S = 30.0
GRACE_S = 2.0
# How often `finish` looks after the commands.
FINISH_TEND_S = 0.05


@dataclass(eq=False)
class _Command:
    """A command that was started, alone in a process group of its own."""

    process: subprocess.Popen[bytes]
    keyword: str
    due_s: float
    """When the next thing is done to it: it is told to end, then killed."""

    told: signal.Signals | None = None
    """The last signal it got from here."""

    left_alone: bool = False


class CommandRunner:
    """Start a command for each detection, its standard output turned to standard error.

    Each runs in a session of its own: Ctrl-C at the terminal does not reach it, and its children
    are ended with it when its time is over.

    Parameters
    ----------
    command : str
        Program and arguments, split as a shell would, but run without one.
    timeout_s : float
        Longest time that a command may run; ``inf`` for any.
    clock : callable
        Seconds that only ever go up; tells how long a command has run.

    Raises
    ------
    ConfigError
        If the text cannot be split, there is no such program, or the time is not above 0.
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
        if not timeout_s > 0:
            raise ConfigError(f"--exec: expected a time-out above 0 s, got {timeout_s:g}")
        self._name = Path(self._arguments[0]).name
        self._timeout_s = timeout_s
        self._clock = clock
        self._log = PacedLog(logger, clock=clock)
        self._running: list[_Command] = []
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Detections for which no command was started."""
        return self._dropped

    @property
    def n_running(self) -> int:
        """Commands that run now, as far as `tend` has seen."""
        return len(self._running)

    def run(self, detection: Detection) -> None:
        """Start the command with the detection in its environment; returns at once."""
        self.tend()
        if len(self._running) >= MAX_RUNNING:
            self._dropped += 1
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
            self._dropped += 1
            self._log.warn(
                "--exec for %s: %s: %s", detection.keyword, self._name, error.strerror or error
            )
            return
        due_s = self._clock() + self._timeout_s
        self._running.append(_Command(process, detection.keyword, due_s))

    def tend(self) -> None:
        """Forget commands that ended, log those that failed, end those whose time is over.

        For the listening loop, about every 50 to 500 ms; costs nearly nothing while none runs.
        """
        self._log.tend()
        if not self._running:
            return
        for command in self._running:
            self._look_after(command)
        self._running = [each for each in self._running if each.process.returncode is None]

    def finish(self) -> None:
        """Wait for the commands that still run: each ends by itself, or is ended at its time-out.

        After a second it is said what is waited for.
        """
        say_at = time.monotonic() + 1
        while self._running:
            if time.monotonic() >= say_at:
                say_at = math.inf
                logger.info("--exec: waiting for %d command(s) that still run", self.n_running)
            time.sleep(FINISH_TEND_S)
            self.tend()

    def close(self, timeout_s: float = 1.0) -> None:
        """Wait for the commands that still run, at most `timeout_s` for all of them.

        Those whose time was over are killed then, the others left alone.
        """
        deadline = time.monotonic() + timeout_s
        for command in self._running:
            # One that was told to end must not be reaped before it is killed: see `_look_after`.
            if command.told is None or command.told is signal.SIGKILL:
                _wait(command, max(0.0, deadline - time.monotonic()))
        for command in self._running:
            if command.told is signal.SIGTERM:
                command.due_s = self._clock()
        self.tend()
        left = []
        for command in self._running:
            if command.told is not None:
                _wait(command, max(0.0, deadline - time.monotonic()))
            elif not command.left_alone:
                command.left_alone = True
                left.append(f"{command.process.pid} for {command.keyword}")
        if left:
            logger.warning(
                "--exec: %s still runs; left alone: process %s", self._name, ", ".join(left)
            )
        self.tend()
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

    def _look_after(self, command: _Command) -> None:
        """Do what is due to a command, and say what has become of it."""
        due = self._clock() >= command.due_s
        if command.told is signal.SIGTERM:
            # Until it is reaped, nobody else can get its number: it is safe to signal the group,
            # in which its children may have outlived it.
            if due:
                self._signal(command, signal.SIGKILL)
                command.process.poll()
        elif command.process.poll() is None and command.told is None and due:
            self._log.warn(
                "--exec for %s: %s (process %d) has run for %g s; told to end",
                command.keyword,
                self._name,
                command.process.pid,
                self._timeout_s,
            )
            self._signal(command, signal.SIGTERM)
            command.due_s = self._clock() + GRACE_S
        if command.process.returncode is not None:
            self._tell_end(command)

    def _signal(self, command: _Command, number: signal.Signals) -> None:
        command.told = number
        try:
            os.killpg(command.process.pid, number)
        except ProcessLookupError:
            # Gone by itself since we looked.
            pass
        except PermissionError:
            self._log.warn(
                "--exec for %s: %s (process %d) may not be signalled by this user",
                command.keyword,
                self._name,
                command.process.pid,
            )

    def _tell_end(self, command: _Command) -> None:
        """Log how a command ended, unless it ended well or as it was told to."""
        code = command.process.returncode
        if command.told is not None:
            if code == -signal.SIGKILL:
                self._log.warn(
                    "--exec for %s: %s (process %d) did not end when told to; killed",
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
        command.process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals have no name.
        return f"signal {number}"
