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
from kws.config import MAX_CONTEXT_WEIGHT
from kws.errors import ConfigError
from kws.manifest import write_manifest
from kws.spotter import KeywordSpotter
from training.cli.terminal import check_picture, command_line, progress_bar

if TYPE_CHECKING:
    from training.tuning.tune import TuneConfig
    from training.tuning.tune_report import Tuned

EXAMPLES = """\
  kws-eval tune --model default --audio quiet-speech quiet-noise --misses words --fa-per-hour 1
  kws-eval tune --audio quiet-speech --misses words --split-speakers both-ways --dry-run
  kws-eval tune --audio quiet-speech --misses words --fa-per-hour 0.5 --picture tuning.png
"""
DESCRIPTION = """\
Runs the model on audio without keywords and on test words, tunes on one half of the speakers,
reports on the other half, and writes the result into the manifest. Tuned are smoothing, the weight
of other speech before a word, suppression, and the threshold of each keyword: those that miss the
fewest words at the given rate of false accepts. Posteriors are cached for the next run."""
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
        help="audio without keywords; the speaker is the file name before the first hyphen",
    )
    made.add_argument(
        "--truth",
        type=Path,
        nargs="+",
        metavar="CSV",
        help="one for each --audio folder (default: the truth.csv in it)",
    )
    made.add_argument(
        "--misses",
        type=Path,
        metavar="DIR",
        help="test words with their truth.csv; without them only one threshold for all keywords "
        "is tuned",
    )
    made.add_argument(
        "--fa-per-hour",
        type=float,
        default=1.0,
        metavar="X",
        help="false accepts of all keywords together (default: 1)",
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
    made.add_argument(
        "--rule",
        choices=("shrunk", "common", "counts", "margin"),
        default="shrunk",
        help="how thresholds follow from the false accepts of a few hours (default: shrunk)",
    )
    made.add_argument(
        "--own-share",
        type=float,
        default=0.25,
        metavar="W",
        help="for shrunk: share of each keyword's own best offset in its threshold, 0 to 1 "
        "(default: 0.25)",
    )
    made.add_argument(
        "--smoothing-ms",
        type=int,
        nargs="+",
        default=[200, 300, 400, 500],
        metavar="MS",
        help="values to try (default: 200 300 400 500; long ones may miss a repeated word)",
    )
    made.add_argument(
        "--suppression-ms",
        type=int,
        nargs="+",
        metavar="MS",
        help="values to try (default: that of the model, 300, 500 and 700)",
    )
    made.add_argument(
        "--context-weights",
        type=float,
        nargs="+",
        default=[0.0, 2.0, 3.0, 4.0],
        metavar="W",
        help="log odds that keywords lose after other speech, to try (default: 0 2 3 4)",
    )
    made.add_argument(
        "--max-latency-s",
        type=float,
        default=0.3,
        metavar="S",
        help="highest median latency after the end of the word (default: 0.3)",
    )
    made.add_argument("--floor", type=float, default=0.2, help="lowest threshold (default: 0.2)")
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
    from training.tuning.tuning_audio import AudioFolders, read_audio

    config = _config(arguments)
    spotter = KeywordSpotter.from_model(
        arguments.model,
        hop_ms=arguments.hop_ms,
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
    )
    quiet = AudioFolders.of(arguments.audio, arguments.truth)
    words = None if arguments.misses is None else AudioFolders.of([arguments.misses])
    posteriors = arguments.cache or default_cache()
    read = partial(read_audio, spotter, quiet, words, cache=posteriors, progress=progress_bar)
    tuned = tune_and_report(cache(read), spotter.manifest, config, split=arguments.split_speakers)
    report = {
        **_about(tuned, spotter, arguments),
        "heard_whole_in_both_halves": [
            *quiet.of_one_speaker(),
            *(words.of_one_speaker() if words else ()),
        ],
        **tuned.report,
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
    from training.tuning.posterior_cache import MAX_SMOOTHING_MS
    from training.tuning.threshold_rules import RuleConfig
    from training.tuning.tune import TuneConfig

    if arguments.picture:
        check_picture(arguments.picture)
    for name in ("smoothing_ms", "suppression_ms"):
        values = getattr(arguments, name) or []
        if not all(0 <= value <= 60_000 for value in values):
            raise ConfigError(f"--{name.replace('_', '-')}: expected 0 to 60000, got {values}")
    if not all(0 < value <= MAX_SMOOTHING_MS for value in arguments.smoothing_ms):
        raise ConfigError(
            f"--smoothing-ms: expected above 0 and up to {MAX_SMOOTHING_MS}, "
            f"got {arguments.smoothing_ms}"
        )
    if not all(0 <= weight <= MAX_CONTEXT_WEIGHT for weight in arguments.context_weights):
        raise ConfigError(
            f"--context-weights: expected 0 to {MAX_CONTEXT_WEIGHT}, "
            f"got {arguments.context_weights}"
        )
    return TuneConfig(
        fa_per_hour=arguments.fa_per_hour,
        smoothing_ms=tuple(arguments.smoothing_ms),
        suppression_ms=tuple(arguments.suppression_ms or ()),
        context_weights=tuple(arguments.context_weights),
        max_latency_s=arguments.max_latency_s,
        floor=arguments.floor,
        rule=RuleConfig(arguments.rule, arguments.own_share),
    )


def _about(tuned: Tuned, spotter: KeywordSpotter, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the model, the operating point and the audio, for the report."""
    manifest = spotter.manifest
    return {
        "model": manifest.name,
        "model_sha256": manifest.window.sha256,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        **tuned.point.as_table(manifest),
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
