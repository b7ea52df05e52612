"""Ask at the terminal whether a recording is to be kept."""

from __future__ import annotations

import sys
from collections.abc import Callable

from training.datasets.clips import SAMPLE_RATE
from training.enrolment.recordings import Recording


def keeper(*, ask: bool) -> Callable[[Recording], bool]:
    """Return what says whether to keep a recording: all of them, or as the user answers."""
    return _ask if ask else lambda recording: True


def _ask(recording: Recording) -> bool:
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
        print(f"  cannot be played: {error}", file=sys.stderr)
