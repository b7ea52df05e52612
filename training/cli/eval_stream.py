"""`kws-eval stream` and `kws-eval make-stream`: long audio, measured and made."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kws import models
from kws.cli import program
from kws.cli.listen_options import parse_thresholds
from kws.errors import ConfigError
from kws.manifest import write_manifest
from training.cli.terminal import command_line, open_spotter, progress_bar
from training.datasets import folders

EXAMPLES = """\
  kws-eval make-stream --clips speech_commands --split validation --background noise.wav --out s
  kws-eval stream --model default --audio s --truth s/truth.csv --out reports/stream
"""


def add_parsers(commands: Any) -> None:
    """Add the two commands."""
    made = program.add_command(
        commands,
        "stream",
        examples=EXAMPLES,
        text="long audio: missed words, false alarms per hour, latency",
    )
    made.set_defaults(run=stream)
    program.add_model_arguments(made)
    made.add_argument(
        "--audio",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of audio files, or one file",
    )
    made.add_argument(
        "--truth", type=Path, required=True, metavar="CSV", help="file,keyword,start_s,end_s"
    )
    program.add_hop_argument(made)
    made.add_argument(
        "--threshold",
        nargs="+",
        action="extend",
        metavar="X|KEYWORD=X",
        help="instead of those in the manifest",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="curve.png and errors.csv")
    made.add_argument(
        "--write", metavar="NAME", help="store the figures in the model's manifest as NAME"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    _add_make_stream(commands)


def _add_make_stream(commands: Any) -> None:
    made = program.add_command(
        commands,
        "make-stream",
        examples=EXAMPLES,
        text="build long test audio and its truth from clips over a background",
        description="Mixes clips over noise or running speech. The level of a clip is the RMS of "
        "its loudest 300 ms, that of the background its RMS. The same seed gives the same audio.",
    )
    made.set_defaults(run=make_stream)
    made.add_argument(
        "--clips", type=Path, required=True, metavar="DIR", help="one folder per word"
    )
    made.add_argument("--split", choices=("training", "validation", "testing"))
    words = "yes,no,up,down,left,right,on,off,stop,go"
    text = "folders to draw from (default: the ten commands)"
    made.add_argument("--keywords", default=words, metavar="A,B", help=text)
    text = "recordings, joined in this order; of a folder all files, sorted"
    made.add_argument(
        "--background", type=Path, nargs="+", required=True, metavar="FILE|DIR", help=text
    )
    text = "utterance,word,start_sample,n_samples of the background; keywords in it are ignored"
    made.add_argument("--word-times", type=Path, metavar="CSV", help=text)
    numbers: tuple[tuple[str, type, Any, str], ...] = (
        ("--snr-db", float, 10.0, "words over background (default: 10)"),
        ("--per-minute", float, 12.0, "keywords per minute (default: 12)"),
        ("--minutes", float, None, "total length (default: that of the background)"),
        ("--file-minutes", float, 10.0, "length of each WAV (default: 10)"),
        ("--seed", int, 1, "of all draws (default: 1)"),
    )
    for name, kind, default, text in numbers:
        made.add_argument(name, type=kind, default=default, help=text)
    made.add_argument("--no-clips", action="store_true", help="the background alone")
    made.add_argument(
        "--group",
        choices=("all", "speaker", "halves"),
        default="all",
        help="speaker: separate files for each speaker of the background (by file name); "
        "halves: a-*.wav and b-*.wav without a common speaker or recording; default: all",
    )
    text = "for the WAV files and truth.csv"
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help=text)
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def stream(arguments: argparse.Namespace) -> int:
    """Measure a model on long audio."""
    from training.evaluation import long_audio

    thresholds = parse_thresholds(arguments.threshold or [])
    spotter = open_spotter(arguments, hop_ms=arguments.hop_ms, thresholds=thresholds)
    result = long_audio.evaluate_stream(
        spotter, arguments.audio, arguments.truth, progress=progress_bar("audio")
    )
    if arguments.out:
        long_audio.write_stream_report(result, arguments.out)
    if arguments.write:
        _record_stream(arguments.model, arguments.write, result.report)
    if arguments.json:
        program.print_json(result.report)
    else:
        _print_stream(result.report)
    return 0


def _record_stream(model: str, name: str, report: dict[str, Any]) -> None:
    """Store the figures of a stream in the model's manifest."""
    manifest = models.load(model)
    kept = {key: value for key, value in report.items() if key not in ("model", "curve")}
    kept["command"] = command_line()
    streams = {**manifest.metrics.get("stream", {}), name: kept}
    write_manifest(
        replace(manifest, metrics={**manifest.metrics, "stream": streams}), manifest.path
    )


def _print_stream(report: dict[str, Any]) -> None:
    table = Table("keyword", "spoken", "detected", "missed %", "false alarms", "threshold")
    for keyword, row in report["per_keyword"].items():
        table.add_row(
            keyword,
            str(row["events"]),
            str(row["hits"]),
            _percent(row["false_reject_rate"]),
            str(row["false_accepts"]),
            "-" if row["threshold"] is None else f"{row['threshold']:.3f}",
        )
    Console().print(table)
    latency = report["latency_s"]
    print(
        f"{report['model']}: {report['hits']} of {report['events']} words detected "
        f"(missed {_percent(report['false_reject_rate'])} %), {report['false_accepts']} false "
        f"alarms in {report['hours']:.2f} h = {report['false_accepts_per_hour']:.2f} per hour"
    )
    if latency["median"] is not None:
        print(
            f"latency after the end of the word: median {latency['median']:.2f} s, "
            f"95 % within {latency['p95']:.2f} s"
        )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def make_stream(arguments: argparse.Namespace) -> int:
    """Build long test audio with its truth."""
    from training.evaluation.mix_stream import StreamConfig
    from training.evaluation.test_audio import build_streams

    config = StreamConfig(
        arguments.snr_db,
        arguments.per_minute,
        minutes=arguments.minutes,
        file_minutes=arguments.file_minutes,
        grouping=arguments.group,
        seed=arguments.seed,
    )
    words = tuple(word for word in arguments.keywords.split(",") if word)
    by_split = folders.scan(arguments.clips)
    splits = [arguments.split] if arguments.split else folders.SPLITS
    found = [clip for split in splits for clip in by_split[split] if clip.label in words]
    if not found and not arguments.no_clips:
        raise ConfigError(f"{arguments.clips}: no clips of {', '.join(words)}")
    report = build_streams(
        [] if arguments.no_clips else found,
        arguments.background,
        arguments.out,
        config,
        word_times=arguments.word_times,
        keywords=words,
        progress=progress_bar("building"),
    )
    if arguments.json:
        program.print_json(report)
    else:
        print(
            f"{arguments.out}: {report['files']} file(s), {report['hours']:.2f} h, "
            f"{report['events']} keywords, truth in {report['truth']}"
        )
    return 0
