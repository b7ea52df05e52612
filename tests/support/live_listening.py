"""Run `kws-listen`, or another program, against a live microphone and read what it prints."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

KWS_LISTEN = str(Path(sysconfig.get_path("scripts")) / "kws-listen")
# Loading on a busy machine included.
LINE_TIMEOUT_S = 30


class Lines:
    """The lines that a program prints, each awaited for a bounded time."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self) -> str | None:
        """Return the next line, or None at the end."""
        try:
            return self._lines.get(timeout=LINE_TIMEOUT_S)
        except queue.Empty:
            pytest.fail(f"{self.process.args}: printed nothing for {LINE_TIMEOUT_S} s")

    def rest(self) -> list[str]:
        """Return the lines up to the end."""
        return list(iter(self.next, None))

    def until(self, **wanted: object) -> dict:
        """Return the next record that has these values; others are skipped."""
        for line in iter(self.next, None):
            record = json.loads(line)
            if wanted.items() <= record.items():
                return record
        pytest.fail(f"{self.process.args}: ended without a record of {wanted}")

    def end(self, number: int) -> tuple[list[str], int]:
        """Send a signal; return the lines up to the end, and the exit code."""
        self.process.send_signal(number)
        return self.rest(), self.process.wait(10)

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, errors: Path | None = None
) -> Iterator[Lines]:
    """Run a program that hears a virtual microphone; it is ended with the block.

    Standard error goes to the file `errors`, if one is named.
    """
    with contextlib.ExitStack() as stack:
        log = None if errors is None else stack.enter_context(errors.open("w"))
        process = stack.enter_context(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        )
        try:
            yield Lines(process)
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def listening(
    environment: Mapping[str, str], *arguments: str, errors: Path | None = None
) -> Iterator[Lines]:
    """Run `kws-listen --json` on a microphone; begins when it says that it listens."""
    command = [KWS_LISTEN, "--json", *(arguments or ("--device", "pulse"))]
    with running(command, environment, errors=errors) as lines:
        lines.until(event="listening")
        yield lines


def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess:
    """Run `kws-listen` to its end."""
    command = [KWS_LISTEN, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def python(script: str, *arguments: str) -> list[str]:
    """Return the command that runs a script."""
    return [sys.executable, "-u", "-c", script, *arguments]


def of_type(kind: str, lines: Sequence[str]) -> list[dict]:
    """Return the records of a type."""
    return [record for record in map(json.loads, lines) if record["type"] == kind]


def words(lines: Sequence[str]) -> list[str]:
    """Return the keywords that were detected."""
    return [record["keyword"] for record in of_type("detection", lines)]
