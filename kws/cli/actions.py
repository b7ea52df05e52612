"""Run a command at each detection: without a shell, without waiting for it."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
import time

from kws.decision import Detection
from kws.errors import ConfigError

logger = logging.getLogger(__name__)
# Commands that may run at once; more detections than that are not passed on.
MAX_RUNNING = 8


class CommandRunner:
    """Start a command for each detection, its standard output turned to standard error.

    Parameters
    ----------
    command : str
        Program and arguments, split as a shell would, but run without one.

    Raises
    ------
    ConfigError
        If the text cannot be split, or there is no such program.
    """

    def __init__(self, command: str) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--exec {command!r}: {error}") from error
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise ConfigError(f"--exec {command!r}: expected a program that can be run")
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, detection: Detection) -> None:
        """Start the command with the detection in its environment; returns at once."""
        self._reap()
        if len(self._running) >= MAX_RUNNING:
            logger.warning(
                "--exec: %d commands still run; none started for %s",
                MAX_RUNNING,
                detection.keyword,
            )
            return
        environment = {
            **os.environ,
            "KWS_KEYWORD": detection.keyword,
            "KWS_SCORE": f"{detection.score:.4f}",
            "KWS_TIME_S": f"{detection.time_s:.3f}",
        }
        try:
            self._running.append(
                subprocess.Popen(
                    self._arguments, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr
                )
            )
        except OSError as error:
            logger.warning("--exec for %s: %s", detection.keyword, error)

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the commands that still run, at most `timeout_s` for all of them."""
        deadline = time.monotonic() + timeout_s
        for process in self._running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("--exec: process %d still runs; left alone", process.pid)
        self._reap()

    def _reap(self) -> None:
        """Forget commands that ended, and log the ones that failed."""
        for process in self._running:
            if process.poll():
                logger.warning("--exec: process %d ended with %s", process.pid, process.returncode)
        self._running = [process for process in self._running if process.returncode is None]
