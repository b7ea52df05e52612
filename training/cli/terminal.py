"""What the commands of the build side share about the terminal they run in."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track


def progress_bar(description: str) -> Any:
    """Return a wrapper that shows progress on stderr while something is worked through."""
    console = Console(file=sys.stderr)

    def wrap(items: Sequence[Any]) -> Any:
        return track(
            items, description, console=console, transient=True, disable=not console.is_terminal
        )

    return wrap


def command_line() -> str:
    """Return what was typed, with the program's name alone."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
