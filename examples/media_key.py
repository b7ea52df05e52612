#!/usr/bin/env python3
"""Play, pause, skip and turn the volume by voice, from the JSON lines of kws-listen.

    kws-listen --json | examples/media_key.py

go plays, stop pauses, right and left are the next and the previous title, up and down the volume,
off and on mute and unmute. Players are reached by playerctl, which speaks to whatever shows its
title in the desktop's panel (MPRIS), needs no rights and has a clear answer where no player runs;
keys made by uinput would need root and a window that takes them. The volume is the sound server's
(PulseAudio or PipeWire), by pactl. Both: sudo apt install playerctl pulseaudio-utils
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator

SINK = "@DEFAULT_SINK@"
COMMANDS = {
    "go": ("playerctl", "play"),
    "stop": ("playerctl", "pause"),
    "right": ("playerctl", "next"),
    "left": ("playerctl", "previous"),
    "up": ("pactl", "set-sink-volume", SINK, "+5%"),
    "down": ("pactl", "set-sink-volume", SINK, "-5%"),
    "off": ("pactl", "set-sink-mute", SINK, "1"),
    "on": ("pactl", "set-sink-mute", SINK, "0"),
}
# A player that does not answer must not keep the next word waiting.
TIMEOUT_S = 2.0


def main() -> int:
    """Act on detections until the end of standard input, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    arguments = parser.parse_args()
    if sys.stdin.isatty():
        parser.error("expected JSON lines on stdin: kws-listen --json | media_key.py")
    missing = sorted({command[0] for command in COMMANDS.values() if not shutil.which(command[0])})
    if missing and not arguments.dry_run:
        print(f"media_key.py: error: no {', no '.join(missing)}; see --help", file=sys.stderr)
        return 1
    try:
        for keyword in keywords(sys.stdin):
            if keyword in COMMANDS:
                act(COMMANDS[keyword], dry_run=arguments.dry_run)
    except KeyboardInterrupt:
        return 130
    except (ValueError, KeyError):
        parser.error("expected JSON lines on stdin: kws-listen --json | media_key.py")
    return 0


def keywords(lines: Iterable[str]) -> Iterator[str]:
    """Yield the keyword of each detection; other records are passed over."""
    for line in lines:
        record = json.loads(line)
        if record["type"] == "detection":
            yield record["keyword"]


def act(command: tuple[str, ...], *, dry_run: bool) -> None:
    """Print the command and run it; a failure is reported and ignored."""
    print(*command, flush=True)
    if dry_run:
        return
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"media_key.py: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
