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
from kws.errors import ConfigError
from kws.manifest import write_manifest
from training.cli.terminal import check_picture, command_line, open_spotter, progress_bar

if TYPE_CHECKING:
    from training.tuning.tuning_audio import Source

EXAMPLES = """\
  kws-eval tune --model default --conditions conditions --dry-run
  kws-eval tune --conditions conditions --budget read-speech=0.5 digits=3% --picture tuning.png
  kws-eval tune --audio my-radio my-kitchen --fa-per-hour 1 --misses my-words --half both
"""
DESCRIPTION = """\
Runs the model on the audio of `kws-eval make-conditions`, or on yours, tunes on one half of the
speakers and recordings, reports on the other half, and writes the result into the manifest. Tuned
are smoothing, the weight of other speech before a word, suppression, and the threshold of each
keyword: those that miss the fewest words while every set of audio keeps its budget of false
alarms. A context weight is what a keyword loses in log odds after other speech. Posteriors are
cached for the next run."""
POINT = ("smoothing_ms", "context_weights", "suppression_ms", "thresholds")
OWN, WORDS = "audio", "misses"


def add_parsers(commands: Any) -> None:
    """Add the command with its options."""
    made = program.add_command(
        commands,
        "tune",
        examples=EXAMPLES,
        text="smoothing, context and thresholds for a budget of false alarms",
        description=DESCRIPTION,
    )
    made.set_defaults(run=tune)
    program.add_model_arguments(made)
    _add_audio(made)
    _add_choices(made)
    _add_outputs(made)


def _add_audio(made: argparse.ArgumentParser) -> None:
    text = "from kws-eval make-conditions: test words, and audio that the budgets hold for"
    made.add_argument("--conditions", type=Path, metavar="DIR", help=text)
    made.add_argument(
        "--budget",
        nargs="+",
        default=[],
        metavar="NAME=X",
        help="false alarms of all keywords together in a condition: per hour, or with %% the share "
        "of other words that may fire "
        "(default: read-speech=1 noise-alone=3 other-words=3%% digits=5%%)",
    )
    text = "weight of a condition's missed words (default: 1)"
    made.add_argument("--weights", nargs="+", default=[], metavar="NAME=X", help=text)
    made.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="own audio without keywords (its truth.csv may name spans to ignore); the speaker is "
        "the file name before the first hyphen",
    )
    text = "budget of --audio (default: 1)"
    made.add_argument("--fa-per-hour", type=float, default=1.0, metavar="X", help=text)
    made.add_argument(
        "--misses",
        type=Path,
        metavar="DIR",
        help="own test words with their truth.csv; without any test words only one threshold for "
        "all keywords is tuned",
    )


def _add_choices(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--half",
        choices=("a", "b", "both", "none"),
        default="a",
        help="tune on this half and report on the other; both: each in turn, with pooled reports "
        "and a final tuning on all speakers; none: tune on all (default: a)",
    )
    to_try: tuple[tuple[str, type, list[Any] | None, str], ...] = (
        ("--smoothing-ms", int, [200, 300, 400, 500], "default: 200 to 500"),
        ("--suppression-ms", int, None, "default: that of the model, 300, 500, 700"),
        (
            "--context-weights",
            float,
            [0.0, 1.0, 2.0, 3.0, 4.0],
            "log odds that keywords lose after other speech; default: 0 to 4",
        ),
    )
    for name, kind, values, text in to_try:
        made.add_argument(
            name, type=kind, nargs="+", default=values, metavar="X", help=f"values to try ({text})"
        )
    limits = (
        ("--margin", 0.2, "share of each budget kept back for chance, 0 to below 1"),
        ("--own-share", 0.25, "share of each keyword's own best offset, 0 to 1"),
        ("--max-latency-s", 0.3, "highest median latency after the end of the word"),
    )
    for name, default, text in limits:
        help_text = f"{text} (default: {default:g})"
        made.add_argument(name, type=float, default=default, metavar="X", help=help_text)
    program.add_hop_argument(made)


def _add_outputs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--dry-run", action="store_true", help="do not write the manifest")
    text = "missed words and used budgets"
    made.add_argument("--picture", type=Path, metavar="PNG", help=text)
    made.add_argument(
        "--cache", type=Path, metavar="DIR", help="for posteriors (default: ~/.cache/kws/scores)"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def tune(arguments: argparse.Namespace) -> int:
    """Tune, report, and write the manifest."""
    from training.tuning.posterior_cache import default_cache
    from training.tuning.tune import TuneConfig
    from training.tuning.tune_report import draw_tuning, tune_and_report
    from training.tuning.tuning_audio import read_audio, with_one_speaker

    if arguments.picture:
        check_picture(arguments.picture)
    config = TuneConfig(
        smoothing_ms=tuple(arguments.smoothing_ms),
        suppression_ms=tuple(arguments.suppression_ms or ()),
        context_weights=tuple(arguments.context_weights),
        max_latency_s=arguments.max_latency_s,
        own_share=arguments.own_share,
        margin=arguments.margin,
    )
    sources = _sources(arguments)
    spotter = open_spotter(arguments, hop_ms=arguments.hop_ms)
    posteriors = arguments.cache or default_cache()
    read = partial(read_audio, spotter, sources, cache=posteriors, progress=progress_bar)
    point, tuned = tune_and_report(cache(read), spotter.manifest, config, half=arguments.half)
    report = {
        "model": spotter.manifest.name,
        "model_sha256": spotter.manifest.window.sha256,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        **point.as_table(spotter.manifest),
        "audio": {name: [path.name for path in one.folders] for name, one in sources.items()},
        "heard_whole_in_both_halves": with_one_speaker(sources),
        **tuned,
        "command": command_line(),
    }
    if arguments.picture:
        draw_tuning(
            report, arguments.picture, title=f"{spotter.manifest.name}, half {report['half']}"
        )
    if not arguments.dry_run:
        report["written"] = _write(arguments.model, report)
    if arguments.json:
        program.print_json(report)
    else:
        _print(report)
        path = report.get("written")
        print(f"written to {path}" if path else "nothing written: --dry-run")
    return 0


def _sources(arguments: argparse.Namespace) -> dict[str, Source]:
    """Return the sets of audio to tune on, in the order in which they are shown."""
    from training.conditions.layout import read_conditions
    from training.tuning.budget import DEFAULT, Budget, parse_pairs, parse_weights
    from training.tuning.tuning_audio import Source

    given = parse_pairs("--budget", arguments.budget)
    asked = {name: Budget.parse(text) for name, text in given.items()}
    weights = parse_weights("--weights", arguments.weights)
    sources: dict[str, Source] = {}
    if arguments.conditions:
        for found in read_conditions(arguments.conditions):
            budget = asked.get(found.name, DEFAULT.get(found.name))
            sources[found.name] = Source((found.folder,), budget, weights.get(found.name, 1.0))
    if arguments.audio:
        sources[OWN] = Source(tuple(arguments.audio), Budget(arguments.fa_per_hour))
    if arguments.misses:
        sources[WORDS] = Source((arguments.misses,), None, weights.get(WORDS, 1.0))
    if not any(one.budget for one in sources.values()):
        raise ConfigError("expected --conditions DIR, or --audio DIR and --fa-per-hour X")
    for option, names in (("--budget", asked), ("--weights", weights)):
        unknown = sorted(set(names) - set(sources))
        if unknown:
            raise ConfigError(
                f"{option} {unknown[0]}: expected one of {', '.join(sources)}, got {unknown[0]!r}"
            )
    return sources


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
    from training.conditions.scores import table_rows

    shown = report["reporting"] or report["tuning"]
    names = ["tuning", "reporting"] if report["reporting"] else ["tuning"]
    table = Table("condition", "", "tuned on" if len(names) > 1 else "all speakers", "other half")
    if len(names) == 1:
        table.columns.pop()
    for row in table_rows([report[name] for name in names]):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(_by_keyword(report, shown))
    print(
        f"smoothing {report['smoothing_ms']} ms, suppression {report['suppression_ms']} ms, "
        f"context {max(report['context_weights'].values(), default=0):g}"
    )
    for name in names:
        print(f"{'tuned on' if name == 'tuning' else 'other half'}: {_sentence(report[name])}")
    if not report["reporting"]:
        print("no speakers were held out: expect more false alarms on others")
    for folder in report["heard_whole_in_both_halves"]:
        print(f"{folder} has a single speaker and was used in both halves")


def _by_keyword(report: dict[str, Any], shown: dict[str, Any]) -> Table:
    """Return missed words and false alarms of each keyword in each condition."""
    rows = shown["conditions"]
    words = [name for name, row in rows.items() if row["events"]]
    table = Table("keyword", "threshold", *(f"missed %, {name}" for name in words), "false alarms")
    for keyword, threshold in report["thresholds"].items():
        missed = (rows[name]["missed_by_keyword"].get(keyword) for name in words)
        wrong = {name: row["false_alarms_by_keyword"].get(keyword) for name, row in rows.items()}
        table.add_row(
            keyword,
            f"{threshold:.3f}",
            *("–" if share is None else f"{100 * share:.0f}" for share in missed),
            ", ".join(f"{name} {count}" for name, count in wrong.items() if count),
        )
    return table


def _sentence(figures: dict[str, Any]) -> str:
    """Return how much of each budget is used, and how many words are missed on average."""
    used = ", ".join(
        f"{name} {row['used'] * row['limit'] * (100 if row['is_share'] else 1):.2g}"
        f"{' %' if row['is_share'] else ' per hour'}"
        f" of {row['limit'] * (100 if row['is_share'] else 1):g}"
        for name, row in figures["budgets"].items()
    )
    if figures["missed"] is None:
        return used
    late = [row["latency_s"] for row in figures["conditions"].values() if row["latency_s"]]
    after = f", {min(late):.2f} to {max(late):.2f} s after the word (medians)" if late else ""
    return f"{used}; missed on average {100 * figures['missed']:.1f} %{after}"
