"""Run `kws-listen` and other programs as processes, interrupt them, and read what they print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from kws import models

DEMO = models.FIRMWARE_MODELS / "demo.wav"


def listen(*arguments: object, **options: Any) -> subprocess.CompletedProcess:
    """Run `python -m kws` to its end."""
    command = [sys.executable, "-m", "kws", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def records(text: str) -> list[dict[str, Any]]:
    """Return the JSON lines of a text."""
    return [json.loads(line) for line in text.splitlines()]


def of_type(kind: str, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of a type."""
    return [record for record in found if record["type"] == kind]


def obey_interrupts() -> None:
    """Restore the default of SIGINT: `preexec_fn` of a program that a test interrupts.

    Tests that run under nohup or as a background job of a script ignore SIGINT, and so would it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Life:
    """A named pipe that a command holds open for writing; it ends when all its writers have."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._pipe: TextIO | None = None

    def line(self) -> str:
        """Wait for the next line that the command writes."""
        if self._pipe is None:
            self._pipe = os.fdopen(os.open(self.path, os.O_RDONLY))
        return self._pipe.readline().rstrip("\n")

    def end(self) -> str:
        """Wait until all writers have ended; return the rest of their output."""
        with self._pipe as pipe:
            return pipe.read()
