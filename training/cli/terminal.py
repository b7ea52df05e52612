"""What the commands of the build side share about the terminal they run in."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from kws.errors import ConfigError

PICTURES = (".png", ".svg", ".pdf")


def progress_bar(description: str) -> Any:
    """Return a wrapper that shows progress on stderr while something is worked through."""
    console = Console(file=sys.stderr)

    def wrap(items: Sequence[Any]) -> Any:
        return track(
            items, description, console=console, transient=True, disable=not console.is_terminal
        )

    return wrap


def command_line() -> str:
    """Return what was typed: the program's name alone, and $KWS_DATA for the folder it names."""
    typed = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    data = os.environ.get("KWS_DATA", "").rstrip("/")
    return typed.replace(data + "/", "$KWS_DATA/") if data else typed


def check_picture(path: Path, option: str = "--picture") -> None:
    """Refuse a picture that could not be written before any work is done."""
    import matplotlib  # noqa: F401  (missing: said before, too)

    if path.suffix not in PICTURES:
        raise ConfigError(f"{option} {path}: expected one of {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
