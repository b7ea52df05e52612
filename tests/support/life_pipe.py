"""How a test hears of a program it has started: that it lives, what it says, when it ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO


class Life:
    """A named pipe that a command holds open for writing: it ends when all who do have ended."""

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
        """Wait until nobody holds it any more; return what they still wrote."""
        with self._pipe as pipe:
            return pipe.read()
