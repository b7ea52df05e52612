"""`kws-listen`: spot keywords from the microphone, a file or a pipe."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kws.capture_config import CaptureConfig
from kws.cli import program
from kws.cli.actions import CommandRunner
from kws.cli.outlets import Outlets
from kws.cli.session import Session, say
from kws.errors import ConfigError
from kws.spotter import KeywordSpotter

if TYPE_CHECKING:
    from kws.cli.meter import Meter

EXAMPLES = """\
  kws-listen                                   listen to the default microphone
  kws-listen --list-devices
  kws-listen --device USB --keywords on,off --exec ./lamp.sh
  kws-listen --input recording.flac --json
  arecord -t raw -f S16_LE -r 16000 | kws-listen --input -
  kws-listen --threshold 0.9                   one threshold for all keywords
  kws-listen --threshold yes=0.7 no=0.95       or some keywords' own
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(listen, _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-listen",
        "Spot keywords in live or recorded audio. Nothing is sent anywhere, and nothing recorded "
        "unless you ask for it with --record.",
        examples=EXAMPLES,
    )
    source = made.add_argument_group("input")
    source.add_argument(
        "--input",
        metavar="FILE|-",
        help="an audio file of any rate, or - for raw 16 kHz s16le PCM on stdin "
        "(default: the microphone)",
    )
    source.add_argument(
        "--device",
        metavar="D",
        help="microphone: index or part of its name (default: the system's)",
    )
    source.add_argument(
        "--channel",
        type=int,
        metavar="N",
        help="channel of the microphone, from 1 (default: the mean of all)",
    )
    source.add_argument(
        "--gain-db",
        type=float,
        default=0.0,
        metavar="DB",
        help="make the microphone louder, -60 to 60; what that clips is counted (default: 0)",
    )
    source.add_argument(
        "--latency",
        default="high",
        metavar="low|high|MS",
        help="what the device is asked for; low hands audio over sooner and loses some sooner "
        "(default: high)",
    )
    source.add_argument(
        "--block-ms",
        type=float,
        default=50.0,
        metavar="MS",
        help="audio handed over at a time, 5 to 500; shorter wakes the CPU more often "
        "(default: 50)",
    )
    source.add_argument(
        "--no-reconnect",
        action="store_true",
        help="end with exit code 1 when the microphone is lost, instead of waiting for it",
    )
    source.add_argument("--list-devices", action="store_true", help="list microphones and exit")
    source.add_argument(
        "--realtime", action="store_true", help="read a file no faster than it would be spoken"
    )
    model = made.add_argument_group("model and decision")
    program.add_model_arguments(model)
    model.add_argument(
        "--hop-ms",
        type=int,
        default=100,
        metavar="MS",
        help="time between windows, a multiple of 10; shorter detects sooner and costs more "
        "(default: 100)",
    )
    model.add_argument(
        "--threshold",
        nargs="+",
        action="extend",
        metavar="X|KEYWORD=X",
        help="score a keyword needs, above 0 and up to 1; higher gives fewer false accepts and "
        "more misses (default: the manifest's, per keyword)",
    )
    model.add_argument(
        "--keywords", metavar="A,B", help="the only keywords that may fire (default: all)"
    )
    model.add_argument(
        "--gate-db",
        type=float,
        metavar="DB",
        help="skip the model while it is quieter than this, such as -60, in dB below full scale "
        "(default: never)",
    )
    output = made.add_argument_group("output")
    output.add_argument(
        "--exec",
        dest="command",
        metavar="CMD",
        help="run CMD at each detection, without a shell, with KWS_KEYWORD, KWS_SCORE and "
        "KWS_TIME_S in its environment",
    )
    output.add_argument(
        "--exec-timeout",
        type=float,
        default=30.0,
        metavar="S",
        help="end a CMD that runs longer (default: 30)",
    )
    output.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    output.add_argument(
        "--status-every",
        type=float,
        metavar="S",
        help="report level, losses and CPU every S seconds; with --json as a record",
    )
    output.add_argument(
        "--meter", action="store_true", help="show level, scores, losses and CPU on stderr"
    )
    output.add_argument(
        "--record",
        metavar="DIR",
        help="keep the two seconds round each detection as WAV files, 100 MB at most; "
        "otherwise nothing is ever written",
    )
    return made


def listen(arguments: argparse.Namespace) -> int:
    """Carry out the parsed command."""
    if arguments.list_devices:
        return _list_devices(as_json=arguments.json)
    config = _capture_config(arguments)
    if arguments.status_every is not None and not 0.1 <= arguments.status_every <= 86_400:
        raise ConfigError(
            f"--status-every: expected 0.1 to 86400 seconds, got {arguments.status_every:g}"
        )
    spotter = KeywordSpotter.from_model(
        arguments.model,
        hop_ms=arguments.hop_ms,
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
        thresholds=parse_thresholds(arguments.threshold or []),
        keywords=_split(arguments.keywords),
        gate_db=arguments.gate_db,
    )
    outlets = _open_outlets(arguments, spotter)
    session = Session(
        spotter,
        outlets=outlets,
        as_json=arguments.json,
        status_every_s=arguments.status_every,
    )
    try:
        if arguments.input is None:
            session.listen_live(arguments.device, config)
        else:
            session.read(arguments.input, realtime=arguments.realtime)
    except KeyboardInterrupt:
        return program.EXIT_INTERRUPTED
    finally:
        outlets.close()
        if session.started:
            session.summarise()
    return 0


def _capture_config(arguments: argparse.Namespace) -> CaptureConfig:
    """Return how the microphone is to be opened."""
    latency: str | float = arguments.latency
    # Not a number: low, high, or something that the settings refuse.
    with contextlib.suppress(ValueError):
        latency = float(latency)
    return CaptureConfig(
        channel=arguments.channel,
        gain_db=arguments.gain_db,
        latency=latency,
        block_ms=arguments.block_ms,
        reconnect=not arguments.no_reconnect,
    )


def _open_outlets(arguments: argparse.Namespace, spotter: KeywordSpotter) -> Outlets:
    """Return what was asked for beside standard output."""
    command = None
    if arguments.command is not None:
        command = CommandRunner(arguments.command, timeout_s=arguments.exec_timeout)
    recorder = None
    if arguments.record is not None:
        from kws.recorder import DetectionRecorder

        recorder = DetectionRecorder(Path(arguments.record), sample_rate=spotter.sample_rate)
    meter = _open_meter(spotter) if arguments.meter else None
    return Outlets(command=command, meter=meter, recorder=recorder)


def parse_thresholds(given: Sequence[str]) -> dict[str, float] | float | None:
    """Return what `--threshold` says: one for all, or a mapping, or None for nothing.

    Raises
    ------
    ConfigError
        If a value is no number in 0..1, or both forms are mixed.
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


def _list_devices(*, as_json: bool) -> int:
    from dataclasses import asdict

    from kws.microphone import list_devices

    devices = list_devices()
    if as_json:
        program.print_json({"devices": [asdict(device) for device in devices]})
        return 0
    if not devices:
        say("no input device found; plug a microphone in, or start the sound server")
    for device in devices:
        mark = "*" if device.is_default else " "
        print(
            f"{mark} {device.index:3d}  {device.name}  "
            f"({device.n_channels} in, {device.default_rate} Hz)"
        )
    if any(device.is_default for device in devices):
        say("* is the default")
    return 0


def _open_meter(spotter: KeywordSpotter) -> Meter:
    from kws.cli.meter import Meter

    meter = Meter(spotter.manifest.labels, spotter.keywords)
    spotter.on_posterior = meter.show_scores
    return meter


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
