"""`kws-listen`: spot keywords from the microphone, a file or a pipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kws.audio.devices import list_devices
from kws.cli import program
from kws.cli.listen_options import capture_config, check_combination, parse_thresholds
from kws.cli.listen_options import make_parser as _parser
from kws.cli.meter import Meter
from kws.cli.output import Output, StatusReports, say
from kws.cli.session import RunCounts, Session
from kws.dataclass_io import check_range
from kws.live.command import TIMEOUT_S, CommandRunner
from kws.live.recorder import DetectionRecorder
from kws.live.sinks import Sink
from kws.spotter import KeywordSpotter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(listen, _parser(), argv)


def listen(arguments: argparse.Namespace) -> int:
    """Carry out the parsed command."""
    if arguments.list_devices:
        return _list_devices(as_json=arguments.json)
    check_combination(arguments)
    config = capture_config(arguments)
    if arguments.status_every is not None:
        check_range("--status-every", arguments.status_every, 0.1, 86_400)
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
    output, counts = Output(as_json=arguments.json), RunCounts(spotter)
    command = None
    if arguments.command is not None:
        timeout_s = TIMEOUT_S if arguments.exec_timeout is None else arguments.exec_timeout
        command = CommandRunner(arguments.command, timeout_s=timeout_s)
    # The meter first: it is removed before the others print their last lines.
    sinks: list[Sink] = [_open_meter(spotter, counts)] if arguments.meter else []
    sinks += [counts, output]
    if command is not None:
        sinks.append(command)
    if arguments.record is not None:
        sinks.append(DetectionRecorder(Path(arguments.record), sample_rate=spotter.sample_rate))
    if arguments.status_every is not None:
        sinks.append(
            StatusReports(arguments.status_every, as_json=arguments.json, state=counts.state)
        )
    with program.StopSignal() as stop:
        session = Session(
            spotter,
            output=output,
            counts=counts,
            sinks=sinks,
            check_stop=stop.check,
            command=command,
        )
        try:
            if arguments.input is None:
                session.listen_live(arguments.device, config)
            else:
                session.read(arguments.input, realtime=arguments.realtime)
        except KeyboardInterrupt:
            # Also where a pipe has not delivered anything yet.
            session.started = output.announced
            return program.EXIT_INTERRUPTED
        finally:
            if session.started:
                output.summarise(counts.counts())
    return 0


def _list_devices(*, as_json: bool) -> int:
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


def _open_meter(spotter: KeywordSpotter, counts: RunCounts) -> Meter:
    labels, keywords = spotter.manifest.labels, spotter.keywords
    meter = Meter(labels, keywords, state=counts.state, hop_s=spotter.hop_ms / 1000)
    spotter.on_posterior = meter.show_scores
    return meter


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
