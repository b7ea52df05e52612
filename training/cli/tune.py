"""`kws-eval tune`: choose thresholds for a false-alarm budget and write them into the manifest."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from kws import models
from kws.cli import program
from kws.manifest import write_manifest
from kws.spotter import KeywordSpotter
from training.cli.terminal import check_picture, command_line, open_spotter, progress_bar

if TYPE_CHECKING:
    from training.tuning.operating_point import OperatingPoint
    from training.tuning.tune import TuneConfig

EXAMPLES = """\
  kws-eval tune --model default --audio quiet-speech quiet-noise --misses words --fa-per-hour 1
  kws-eval tune --audio quiet-speech --misses words --split-speakers both-ways --dry-run
  kws-eval tune --audio quiet-speech --misses words --fa-per-hour 0.5 --picture tuning.png
"""
DESCRIPTION = """\
Runs the model on audio without keywords and on test words, tunes on one half of the speakers,
reports on the other half, and writes the result into the manifest. Tuned are smoothing, the weight
of other speech before a word, suppression, and the threshold of each keyword: those that miss the
fewest words at the given rate of false accepts. A context weight is what a keyword loses in log
odds after other speech. Posteriors are cached for the next run."""
POINT = ("smoothing_ms", "context_weights", "suppression_ms", "thresholds")


def add_parsers(commands: Any) -> None:
    """Add the command with its options."""
    made = program.add_command(
        commands,
        "tune",
        examples=EXAMPLES,
        text="smoothing, context and thresholds for a given number of false alarms per hour",
        description=DESCRIPTION,
    )
    made.set_defaults(run=tune)
    program.add_model_arguments(made)
    made.add_argument(
        "--audio",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="audio without keywords (its truth.csv may name spans to ignore); the speaker is the "
        "file name before the first hyphen",
    )
    made.add_argument(
        "--misses",
        type=Path,
        metavar="DIR",
        help="test words with their truth.csv; without them only one threshold for all keywords "
        "is tuned",
    )
    _add_choices(made)
    _add_outputs(made)


def _add_choices(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--split-speakers",
        choices=("half-a", "half-b", "both-ways", "none"),
        default="half-a",
        help="tune on this half and report on the other; both-ways: each in turn, with pooled "
        "reports and a final tuning on all speakers; none: tune on all (default: half-a)",
    )
    to_try: tuple[tuple[str, type, list[Any] | None, str], ...] = (
        ("--smoothing-ms", int, [200, 300, 400, 500], "default: 200 to 500"),
        ("--suppression-ms", int, None, "default: that of the model, 300, 500, 700"),
        (
            "--context-weights",
            float,
            [0.0, 2.0, 3.0, 4.0],
            "log odds that keywords lose after other speech; default: 0 2 3 4",
        ),
    )
    for name, kind, values, text in to_try:
        made.add_argument(
            name, type=kind, nargs="+", default=values, metavar="X", help=f"values to try ({text})"
        )
    limits = (
        ("--fa-per-hour", 1.0, "false accepts of all keywords together"),
        ("--own-share", 0.25, "share of each keyword's own best offset, 0 to 1"),
        ("--max-latency-s", 0.3, "highest median latency after the end of the word"),
    )
    for name, default, text in limits:
        help_text = f"{text} (default: {default:g})"
        made.add_argument(name, type=float, default=default, metavar="X", help=help_text)
    program.add_hop_argument(made)


def _add_outputs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--dry-run", action="store_true", help="do not write the manifest")
    made.add_argument("--picture", type=Path, metavar="PNG", help="misses against false alarms")
    made.add_argument(
        "--cache", type=Path, metavar="DIR", help="for posteriors (default: ~/.cache/kws/scores)"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def tune(arguments: argparse.Namespace) -> int:
    """Tune, report, and write the manifest."""
    from training.tuning.posterior_cache import default_cache
    from training.tuning.tune_report import draw_tuning, tune_and_report
    from training.tuning.tuning_audio import read_audio, with_one_speaker

    if arguments.picture:
        check_picture(arguments.picture)
    config = _config(arguments)
    spotter = open_spotter(arguments, hop_ms=arguments.hop_ms)
    quiet: list[Path] = arguments.audio
    words = [arguments.misses] if arguments.misses else []
    posteriors = arguments.cache or default_cache()
    read = partial(read_audio, spotter, quiet, words, cache=posteriors, progress=progress_bar)
    point, tuned = tune_and_report(
        cache(read), spotter.manifest, config, split=arguments.split_speakers
    )
    report = {
        **_about(point, spotter, arguments),
        "heard_whole_in_both_halves": with_one_speaker([*quiet, *words]),
        **tuned,
        "command": command_line(),
    }
    if arguments.picture:
        title = f"{spotter.manifest.name}: thresholds tuned on {arguments.split_speakers}"
        draw_tuning(report, arguments.picture, title=title)
    if not arguments.dry_run:
        report["written"] = _write(arguments.model, report)
    if arguments.json:
        program.print_json(report)
    else:
        _print(report)
        path = report.get("written")
        print(f"written to {path}" if path else "nothing written: --dry-run")
    return 0


def _config(arguments: argparse.Namespace) -> TuneConfig:
    from training.tuning.tune import TuneConfig

    return TuneConfig(
        fa_per_hour=arguments.fa_per_hour,
        smoothing_ms=tuple(arguments.smoothing_ms),
        suppression_ms=tuple(arguments.suppression_ms or ()),
        context_weights=tuple(arguments.context_weights),
        max_latency_s=arguments.max_latency_s,
        own_share=arguments.own_share,
    )


def _about(
    point: OperatingPoint, spotter: KeywordSpotter, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return the model, the operating point and the audio, for the report."""
    manifest = spotter.manifest
    return {
        "model": manifest.name,
        "model_sha256": manifest.window.sha256,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        **point.as_table(manifest),
        "audio": [folder.name for folder in arguments.audio],
        "misses": arguments.misses.name if arguments.misses else None,
    }


def _write(model: str, report: dict[str, Any]) -> str:
    """Write the operating point and its report into the manifest."""
    manifest = models.load(model)
    chosen = {name: report[name] for name in POINT}
    decision = replace(manifest.decision, **chosen)
    kept = {
        key: value
        for key, value in report.items()
        if key not in (*POINT, "model", "model_sha256", "curve")
    }
    metrics = {**manifest.metrics, "thresholds": kept}
    # Figures of streams belong to the former thresholds.
    metrics.pop("stream", None)
    write_manifest(replace(manifest, decision=decision, metrics=metrics), manifest.path)
    return str(manifest.path)


def _print(report: dict[str, Any]) -> None:
    table = Table("keyword", "threshold", "missed", "false alarms")
    shown = report["reporting"] or report["tuning"]
    for keyword, threshold in report["thresholds"].items():
        row = shown["per_keyword"][keyword]
        missed = f"{row['missed']} of {row['words']}"
        table.add_row(keyword, f"{threshold:.3f}", missed, str(row["false_accepts"]))
    Console().print(table)
    print(
        f"smoothing {report['smoothing_ms']} ms, suppression {report['suppression_ms']} ms, "
        f"context {max(report['context_weights'].values(), default=0):g}, "
        f"for {report['fa_per_hour']:g} false alarms per hour"
    )
    for part, name in (("tuning", "tuned on"), ("reporting", "other speakers")):
        if report[part]:
            print(f"{name}: {_sentence(report[part])}")
    if not report["reporting"]:
        print("no speakers were held out: expect more false alarms on others")
    for folder in report["heard_whole_in_both_halves"]:
        print(f"{folder} has a single speaker and was used in both halves")


def _sentence(figures: dict[str, Any]) -> str:
    low, high = figures["false_accepts_interval_95"]
    text = (
        f"{figures['false_accepts']} false alarms in {figures['hours']:.2f} h = "
        f"{figures['false_accepts_per_hour']:.2f} per hour ({low:.2f} to {high:.2f})"
    )
    if figures["words"]:
        low, high = figures["false_reject_interval_95"]
        text += (
            f", {figures['missed']} of {figures['words']} words missed = "
            f"{100 * figures['false_reject_rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        )
    if figures["latency_s"]["median"] is not None:
        text += f", {figures['latency_s']['median']:.2f} s after the end of the word (median)"
    return text
