"""What the commands of the build side share about the terminal: progress, questions, checks."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, track

from kws.errors import ConfigError
from kws.spotter import KeywordSpotter
from training.datasets.clips import SAMPLE_RATE

if TYPE_CHECKING:
    # Needs an extra, which `--help` of the commands does not.
    from training.enrolment.recordings import Recording

PICTURES = (".png", ".svg", ".pdf")


def progress_bar(description: str) -> Any:
    """Return a wrapper for a sequence that shows progress on stderr."""
    console = Console(file=sys.stderr)

    def wrap(items: Sequence[Any]) -> Any:
        return track(
            items, description, console=console, transient=True, disable=not console.is_terminal
        )

    return wrap


def show_steps(description: str, steps: Iterable[tuple[int, int]]) -> int:
    """Work through (done, in all) with progress on stderr; return how many there are in all."""
    console = Console(file=sys.stderr)
    total = 0
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(description)
        for done, total in steps:
            progress.update(task, completed=done, total=total)
            if not console.is_terminal:
                print(f"{description}: {done} of {total}", file=sys.stderr, flush=True)
    return total


def open_spotter(arguments: argparse.Namespace, **settings: Any) -> KeywordSpotter:
    """Return the spotter of the options of `program.add_model_arguments`."""
    return KeywordSpotter.from_model(
        arguments.model,
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
        **settings,
    )


def command_line() -> str:
    """Return the command as typed, with the program's bare name and $KWS_DATA for its folder."""
    typed = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    data = os.environ.get("KWS_DATA", "").rstrip("/")
    return typed.replace(data + "/", "$KWS_DATA/") if data else typed


def check_picture(path: Path, option: str = "--picture") -> None:
    """Refuse a picture that cannot be written, before any work is done."""
    import matplotlib  # noqa: F401  (a missing library is reported now, too)

    if path.suffix not in PICTURES:
        raise ConfigError(f"{option} {path}: expected one of {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")


def ask_to_keep(recording: Recording) -> bool:
    """Return whether the user keeps a recording, which they can play first."""
    while True:
        print(
            "  Enter keeps it, p plays it, r records it again: ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        answer = sys.stdin.readline().strip().lower()
        if answer == "p":
            _play(recording)
        elif answer in ("", "r"):
            return answer == ""


def _play(recording: Recording) -> None:
    import sounddevice

    try:
        sounddevice.play(recording.samples, SAMPLE_RATE, blocking=True)
    except sounddevice.PortAudioError as error:
        print(f"  cannot play it: {error}", file=sys.stderr)
