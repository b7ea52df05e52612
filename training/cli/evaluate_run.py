"""What each `kws-eval` command does once its options are parsed."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kws import models
from kws.cli import program
from kws.cli.listen import parse_thresholds
from kws.errors import ConfigError
from kws.manifest import write_manifest
from kws.spotter import KeywordSpotter
from training.cli.terminal import check_picture, command_line, progress_bar
from training.datasets import folders
from training.evaluation import evaluate
from training.evaluation.clips import ClipScorer
from training.evaluation.source_clips import clips_of_source
from training.evaluation.test_audio import build_streams


def _spotter(arguments: argparse.Namespace, **settings: Any) -> KeywordSpotter:
    return KeywordSpotter.from_model(
        arguments.model,
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
        **settings,
    )


def clip(arguments: argparse.Namespace) -> int:
    """Show what a model makes of one clip."""
    picture = arguments.out or Path(f"{arguments.file.stem}.png")
    check_picture(picture, "--out")
    report = evaluate.evaluate_clip(
        arguments.file, _spotter(arguments), label=arguments.label, picture=picture
    )
    if arguments.json:
        program.print_json(report)
    else:
        table = Table("label", "posterior")
        for name, value in sorted(report["posterior"].items(), key=lambda item: -item[1]):
            table.add_row(name, f"{value:.3f}")
        console = Console()
        console.print(table)
        verdict = {None: "", True: ", as labelled", False: f", but labelled {arguments.label}"}
        print(f"heard {report['predicted']}{verdict[report['right']]}; picture: {picture}")
    return 0


def clips(arguments: argparse.Namespace) -> int:
    """Measure a model on labelled clips."""
    scorer = ClipScorer.open(
        models.load(arguments.model),
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
    )
    chosen = clips_of_source(scorer.manifest, arguments.data, split=arguments.split)
    if chosen is None:
        chosen = evaluate.clips_to_score(
            arguments.data, scorer.manifest.labels, split=arguments.split, seed=arguments.seed
        )
    report = evaluate.evaluate_clips(
        scorer, chosen, root=arguments.data, out=arguments.out, progress=progress_bar("clips")
    )
    if arguments.split:
        report["split"], report["seed"] = arguments.split, arguments.seed
    if arguments.json:
        program.print_json(report)
        return 0
    table = Table("label", "precision", "recall", "F1", "clips")
    for label, row in report["per_label"].items():
        figures = (f"{100 * row[key]:.1f}" for key in ("precision", "recall", "f1"))
        table.add_row(label, *figures, str(row["n"]))
    figures = (f"{100 * report['macro'][key]:.1f}" for key in ("precision", "recall", "f1"))
    table.add_row("mean", *figures, "")
    console = Console()
    console.print(table)
    low, high = report["accuracy_interval_95"]
    print(
        f"{report['model']}: {100 * report['accuracy']:.2f} % of {report['n']} clips "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f})"
    )
    return 0


def stream(arguments: argparse.Namespace) -> int:
    """Measure a model on long audio."""
    spotter = _spotter(
        arguments,
        hop_ms=arguments.hop_ms,
        thresholds=parse_thresholds(arguments.threshold or []),
    )
    result = evaluate.evaluate_stream(
        spotter, arguments.audio, arguments.truth, progress=progress_bar("audio")
    )
    if arguments.out:
        evaluate.write_stream_report(result, arguments.out)
    if arguments.write:
        _record_stream(arguments.model, arguments.write, result.report)
    if arguments.json:
        program.print_json(result.report)
    else:
        _print_stream(result.report)
    return 0


def _record_stream(model: str, name: str, report: dict[str, Any]) -> None:
    """Put the figures of a stream into the model's manifest."""
    manifest = models.load(model)
    kept = {key: value for key, value in report.items() if key not in ("model", "curve")}
    kept["command"] = command_line()
    streams = {**manifest.metrics.get("stream", {}), name: kept}
    write_manifest(
        replace(manifest, metrics={**manifest.metrics, "stream": streams}), manifest.path
    )


def _print_stream(report: dict[str, Any]) -> None:
    console = Console()
    table = Table("keyword", "spoken", "heard", "missed %", "false accepts", "threshold")
    for keyword, row in report["per_keyword"].items():
        table.add_row(
            keyword,
            str(row["events"]),
            str(row["hits"]),
            _percent(row["false_reject_rate"]),
            str(row["false_accepts"]),
            "-" if row["threshold"] is None else f"{row['threshold']:.3f}",
        )
    console.print(table)
    latency = report["latency_s"]
    print(
        f"{report['model']}: {report['hits']} of {report['events']} words heard "
        f"(missed {_percent(report['false_reject_rate'])} %), {report['false_accepts']} false "
        f"accepts in {report['hours']:.2f} h = {report['false_accepts_per_hour']:.2f} an hour"
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
    words = [word for word in arguments.keywords.split(",") if word]
    by_split = folders.scan(arguments.clips)
    splits = [arguments.split] if arguments.split else folders.SPLITS
    found = [clip for split in splits for clip in by_split[split] if clip.label in words]
    if not found and not arguments.no_clips:
        raise ConfigError(f"{arguments.clips}: no clips of {', '.join(words)}")
    report = build_streams(
        [] if arguments.no_clips else found,
        arguments.background,
        arguments.out,
        word_times=arguments.word_times,
        keywords=tuple(words),
        snr_db=arguments.snr_db,
        per_minute=arguments.per_minute,
        minutes=arguments.minutes,
        file_minutes=arguments.file_minutes,
        seed=arguments.seed,
        grouping=arguments.group,
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
