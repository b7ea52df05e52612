"""The options of `kws-listen`, and their combinations."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import Any

from kws.audio.capture_config import CaptureConfig
from kws.cli import program
from kws.errors import ConfigError

EXAMPLES = """\
  kws-listen                                   listen to the default microphone
  kws-listen --list-devices
  kws-listen --device USB --keywords on,off --exec ./lamp.sh
  kws-listen --input recording.flac --json
  arecord -t raw -f S16_LE -r 16000 | kws-listen --input -
  kws-listen --threshold 0.9                   one threshold for all keywords
  kws-listen --threshold yes=0.7 no=0.95       or some keywords' own
"""
# Attributes of the parsed arguments and their values if not given. `--block-ms` is allowed beside
# `--input`, because bench/live/cpu.py runs both with the same options.
OF_THE_MICROPHONE = {
    "device": None,
    "channel": None,
    "gain_db": None,
    "latency": None,
    "no_reconnect": False,
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; an option with a default elsewhere is None if not given."""
    made = program.parser(
        "kws-listen",
        "Spot keywords in live or recorded audio. Nothing is sent anywhere, and nothing is "
        "recorded without --record.",
        examples=EXAMPLES,
    )
    _add_input(made.add_argument_group("input"))
    _add_microphone(made.add_argument_group("microphone"))
    _add_model(made.add_argument_group("model and decision"))
    _add_output(made.add_argument_group("output"))
    _add_commands(made.add_argument_group("commands"))
    return made


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--input",
        metavar="FILE|-",
        help="an audio file of any rate, or - for raw 16 kHz s16le PCM on stdin "
        "(default: the microphone)",
    )
    group.add_argument(
        "--realtime", action="store_true", help="read a file no faster than real time"
    )
    group.add_argument("--list-devices", action="store_true", help="list microphones and exit")


def _add_microphone(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device",
        metavar="D",
        help="microphone: index or part of its name (default: the system's)",
    )
    group.add_argument(
        "--channel",
        type=int,
        metavar="N",
        help="channel of the microphone, from 1 (default: the mean of all)",
    )
    group.add_argument(
        "--gain-db",
        type=float,
        metavar="DB",
        help="amplify the microphone, -60 to 60; clipped samples are counted (default: 0)",
    )
    group.add_argument(
        "--latency",
        metavar="low|high|MS",
        help="latency to request; low delivers audio sooner, and loses it sooner on a busy machine "
        "(default: high)",
    )
    group.add_argument(
        "--block-ms",
        type=float,
        metavar="MS",
        help="length of the device's blocks, 5 to 500; shorter wakes the CPU more often "
        "(default: 50)",
    )
    group.add_argument(
        "--no-reconnect",
        action="store_true",
        help="exit with code 1 when the microphone is lost, instead of waiting for it",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    program.add_model_arguments(group)
    program.add_hop_argument(group)
    group.add_argument(
        "--threshold",
        nargs="+",
        action="extend",
        metavar="X|KEYWORD=X",
        help="score a keyword needs, above 0 and up to 1; higher gives fewer false accepts and "
        "more missed detections (default: the manifest's, per keyword)",
    )
    group.add_argument(
        "--keywords", metavar="A,B", help="the only keywords that may fire (default: all)"
    )
    group.add_argument(
        "--gate-db",
        type=float,
        metavar="DB",
        help="skip the model while the audio is below this level, such as -60, in dB relative to "
        "full scale (default: never)",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--json", action="store_true", help="print JSON lines on stdout")
    group.add_argument(
        "--status-every",
        type=float,
        metavar="S",
        help="report level, losses and CPU every S seconds; with --json as a record",
    )
    group.add_argument(
        "--meter", action="store_true", help="show level, scores, losses and CPU on stderr"
    )
    group.add_argument(
        "--record",
        metavar="DIR",
        help="keep the two seconds around each detection as WAV files, 100 MB at most; "
        "without it, no audio is ever written",
    )


def _add_commands(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--exec",
        dest="command",
        metavar="CMD",
        help="run CMD at each detection, without a shell, with KWS_KEYWORD, KWS_SCORE and "
        "KWS_TIME_S in its environment; kws-listen waits for it at the end of a file or pipe",
    )
    group.add_argument(
        "--exec-timeout",
        type=float,
        metavar="S",
        help="end a CMD that runs for longer (default: 30)",
    )


def check_combination(arguments: argparse.Namespace) -> None:
    """Refuse options that have no effect in this combination.

    Raises
    ------
    UsageError
        Names the option, and the one it needs or excludes.
    """
    if arguments.input is not None:
        for name, not_given in OF_THE_MICROPHONE.items():
            if getattr(arguments, name) is not not_given:
                option = name.replace("_", "-")
                raise program.UsageError(
                    f"--{option}: expected a microphone, got --input {arguments.input}; "
                    "leave one of them out"
                )
    if arguments.input is None and arguments.realtime:
        raise program.UsageError("--realtime: expected --input FILE; a microphone needs no pace")
    if arguments.command is None and arguments.exec_timeout is not None:
        raise program.UsageError("--exec-timeout: expected --exec CMD, whose time it limits")


def capture_config(arguments: argparse.Namespace) -> CaptureConfig:
    """Return the settings of the microphone.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """
    given: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("channel", "gain_db", "latency", "block_ms")
        if getattr(arguments, name) is not None
    }
    # Otherwise it is low, high, or refused by CaptureConfig.
    with contextlib.suppress(KeyError, ValueError):
        given["latency"] = float(given["latency"])
    return CaptureConfig(**given, reconnect=not arguments.no_reconnect)


def parse_thresholds(given: Sequence[str]) -> dict[str, float] | float | None:
    """Return the thresholds of `--threshold`: one for all, a mapping, or None.

    Raises
    ------
    ConfigError
        If a value is not a number in 0..1, or both forms are mixed.
    """
    named: dict[str, float] = {}
    plain: list[float] = []
    for text in given:
        keyword, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 < number <= 1:
            raise ConfigError(
                f"--threshold {text}: expected a number above 0 and up to 1, or KEYWORD=NUMBER"
            )
        if sign:
            named[keyword] = number
        else:
            plain.append(number)
    if len(plain) > 1 or (plain and named):
        raise ConfigError("--threshold: expected one number for all, or KEYWORD=NUMBER for some")
    return plain[0] if plain else (named or None)
