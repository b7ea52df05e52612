"""`kws-listen`: spot keywords from the microphone, a file or a pipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kws.audio.capture_config import CaptureConfig
from kws.cli import program
from kws.cli.listen_options import capture_config, check_combination, parse_thresholds
from kws.cli.listen_options import make_parser as _parser
from kws.cli.session import Session, say
from kws.errors import ConfigError
from kws.live.command import TIMEOUT_S, CommandRunner
from kws.live.sinks import Outlets
from kws.spotter import KeywordSpotter

if TYPE_CHECKING:
    from kws.cli.meter import Meter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(listen, _parser(), argv)


def listen(arguments: argparse.Namespace) -> int:
    """Carry out the parsed command."""
    if arguments.list_devices:
        return _list_devices(as_json=arguments.json)
    check_combination(arguments)
    config = capture_config(arguments)
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
    return _run(session, outlets, arguments, config)


def _run(
    session: Session, outlets: Outlets, arguments: argparse.Namespace, config: CaptureConfig
) -> int:
    """Listen to the end, and bring everything to one."""
    with program.first_interrupt_only():
        try:
            if arguments.input is None:
                session.listen_live(arguments.device, config)
            else:
                session.read(arguments.input, realtime=arguments.realtime)
        except KeyboardInterrupt:
            return program.EXIT_INTERRUPTED
        finally:
            outlets.close(session.rest_s())
            if session.started:
                session.summarise()
    return 0


def _open_outlets(arguments: argparse.Namespace, spotter: KeywordSpotter) -> Outlets:
    """Return what was asked for beside standard output."""
    command = None
    if arguments.command is not None:
        timeout_s = TIMEOUT_S if arguments.exec_timeout is None else arguments.exec_timeout
        command = CommandRunner(arguments.command, timeout_s=timeout_s)
    recorder = None
    if arguments.record is not None:
        from kws.live.recorder import DetectionRecorder

        recorder = DetectionRecorder(Path(arguments.record), sample_rate=spotter.sample_rate)
    meter = _open_meter(spotter) if arguments.meter else None
    return Outlets(command=command, meter=meter, recorder=recorder)


def _list_devices(*, as_json: bool) -> int:
    from dataclasses import asdict

    from kws.audio.microphone import list_devices

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

    meter = Meter(spotter.manifest.labels, spotter.keywords, hop_s=spotter.hop_ms / 1000)
    spotter.on_posterior = meter.show_scores
    return meter


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
