"""`kws-eval make-conditions` and `kws-eval conditions`: models in the conditions of a home."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kws import __version__, models
from kws.cli import program
from kws.errors import ConfigError
from kws.files import write_atomically
from kws.manifest import write_manifest
from training.cli.terminal import command_line, progress_bar
from training.config import recipe
from training.config.data_sections import expand_path

EXAMPLES = """\
  kws-eval make-conditions --out conditions
  kws-eval conditions tiny default large --conditions conditions --out reports/conditions
"""
RECIPE = "default"
FILE_WIDTH = 120
SPEECH, PHRASES = "$KWS_DATA/librispeech/dev_clean", "$KWS_DATA/an4"


def add_parsers(commands: Any) -> None:
    """Add the two commands."""
    _add_make(commands)
    made = program.add_command(
        commands,
        "conditions",
        examples=EXAMPLES,
        text="missed words and false alarms in each condition of a home, for several models",
        description="Half b shares no speaker and no recording with half a: choose thresholds on "
        "a, report b. Shares have 95 % Wilson intervals, rates exact Poisson intervals.",
    )
    made.set_defaults(run=conditions)
    made.add_argument("models", nargs="+", metavar="MODEL", help="names or manifests")
    text = "from kws-eval make-conditions"
    made.add_argument("--conditions", type=Path, required=True, metavar="DIR", help=text)
    made.add_argument("--half", choices=("a", "b", "both"), default="b", help="(default: b)")
    made.add_argument("--only", nargs="+", metavar="NAME", help="these conditions alone")
    text = "conditions.png and conditions.json"
    made.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "store the figures in the manifests of the models"
    made.add_argument("--write", action="store_true", help=text)
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_make(commands: Any) -> None:
    made = program.add_command(
        commands,
        "make-conditions",
        examples=EXAMPLES,
        text="build the test audio of `kws-eval conditions`",
        description="One folder a condition, each in two halves, a-*.wav and b-*.wav, without a "
        "common speaker or recording. The same seed and sources give the same audio.",
    )
    made.set_defaults(run=make_conditions)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    paths: tuple[tuple[str, str, str | int, str], ...] = (
        ("--clips", "DIR", "+", "one folder per word (default: those of the recipe `default`)"),
        (
            "--speech",
            "DIR",
            "?",
            "running speech, DIR.words.csv beside it (default: $KWS_DATA/librispeech/dev_clean)",
        ),
        (
            "--noise",
            "DIR|FILE",
            "+",
            "recordings, a folder a kind (default: $KWS_DATA/esc10 and "
            "the background recordings of the clips, without what training uses of them)",
        ),
        (
            "--phrases",
            "DIR",
            "?",
            "index.csv and SPEAKER/*.wav, for the condition dictation "
            f"(default: {PHRASES} if it exists)",
        ),
        ("--rooms", "DIR", "?", "measured room responses (default: simulated)"),
    )
    for name, metavar, nargs, text in paths:
        made.add_argument(name, type=Path, nargs=nargs, metavar=metavar, help=text)
    text = "kinds of noise that training never had (default: those of the recipe `default`)"
    made.add_argument("--held-out", nargs="*", metavar="KIND", help=text)
    made.add_argument(
        "--split",
        choices=("training", "validation", "testing", "all"),
        default="validation",
        help="of the clips (default: validation)",
    )
    words = "yes,no,up,down,left,right,on,off,stop,go"
    made.add_argument(
        "--keywords", default=words, metavar="A,B", help="(default: the ten commands)"
    )
    made.add_argument("--only", nargs="+", metavar="NAME", help="these conditions alone")
    numbers: tuple[tuple[str, type, Any, str], ...] = (
        ("--words", int, 300, "keywords in each condition and half (default: 300)"),
        ("--noise-minutes", float, 60.0, "noise alone in each half (default: 60)"),
        ("--seed", int, 1, "of all draws (default: 1)"),
    )
    for name, kind, default, text in numbers:
        made.add_argument(name, type=kind, default=default, help=text)
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def make_conditions(arguments: argparse.Namespace) -> int:
    """Build the test audio."""
    from training.conditions import layout, make
    from training.conditions.sources import SourcePaths, read_halves
    from training.conditions.spoken import Plan

    data = recipe.load(RECIPE).data
    phrases = arguments.phrases or _path(PHRASES, "--phrases", there=True)
    without = () if phrases else ("dictation",)
    names = _chosen(arguments.only, [name for name in layout.NAMES if name not in without])
    clips = arguments.clips or list(data.roots())
    kept = data.held_out_noise if arguments.held_out is None else arguments.held_out
    keywords = tuple(word for word in arguments.keywords.split(",") if word)
    paths = SourcePaths(
        clips=tuple(clips),
        speech=arguments.speech or _path(SPEECH, "--speech"),
        noise=tuple(arguments.noise or _default_noise(clips)),
        phrases=phrases,
        rooms=arguments.rooms,
        split=None if arguments.split == "all" else arguments.split,
        keywords=keywords,
        held_out=tuple(kept),
    )
    plan = Plan(
        keywords,
        n_keywords=arguments.words,
        n_others=arguments.words,
        noise_minutes=arguments.noise_minutes,
        seed=arguments.seed,
    )
    about = {
        "kws": __version__,
        "command": command_line(),
        "split": arguments.split,
        "held_out_noise": list(kept),
        "rooms": "measured" if arguments.rooms else "simulated",
    }
    table = make.make_conditions(
        read_halves(paths),
        plan,
        arguments.out,
        names=names,
        about=about,
        progress=progress_bar("building"),
    )
    if arguments.json:
        program.print_json(table)
    else:
        _print_made(table)
    return 0


def _default_noise(clips: list[Path]) -> list[Path]:
    from training.datasets.folders import NOISE_FOLDER

    recorded = [root / NOISE_FOLDER for root in clips if (root / NOISE_FOLDER).is_dir()]
    return [_path("$KWS_DATA/esc10", "--noise"), *recorded]


def _path(text: str, option: str, *, there: bool = False) -> Any:
    """Return a path in the data; with `there`, None where it does not exist."""
    if there and not Path(os.path.expandvars(text)).is_dir():
        return None
    return expand_path(text, where=option)


def _chosen(asked: list[str] | None, there: Any) -> list[str]:
    """Return the conditions to work on, in their order."""
    strange = sorted(set(asked or ()) - set(there))
    if strange:
        raise ConfigError(f"--only: expected some of {', '.join(there)}; got {', '.join(strange)}")
    return [name for name in there if asked is None or name in asked]


def _print_made(table: dict[str, Any]) -> None:
    shown = Table("condition", "hours", "keywords", "other words", "what")
    for name, row in table["conditions"].items():
        shown.add_row(
            name,
            f"{row['hours']:.2f}",
            str(row["events"]),
            str(row["others"]),
            row["description"],
        )
    Console().print(shown)


def conditions(arguments: argparse.Namespace) -> int:
    """Measure models in each condition."""
    from training.conditions import layout, scores
    from training.report.models import open_models

    found = layout.read_conditions(arguments.conditions)
    names = _chosen(arguments.only, [one.name for one in found])
    found = [one for one in found if one.name in names]
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    opened = open_models(arguments.models)
    half = None if arguments.half == "both" else arguments.half
    rows = [
        scores.measure(model.spotter(), found, half=half, title=model.title, progress=progress_bar)
        for model in opened
    ]
    titles = [model.title for model in opened]
    made = {"half": arguments.half, "command": command_line(), "models": rows}
    if len(rows) == 1:
        made = {**made, **rows[0]}
    if arguments.out:
        from training.conditions import plots
        from training.plotting import save_figure

        save_figure(plots.draw(rows, titles), arguments.out / "conditions.png")
        write_atomically(arguments.out / "conditions.json", json.dumps(made, indent=1) + "\n")
    if arguments.write:
        for name, row in zip(arguments.models, rows):
            _record(name, {**row, "half": arguments.half, "command": made["command"]})
    if arguments.json:
        program.print_json(made)
    else:
        shown = Table("condition", f"figure, half {arguments.half}", *titles)
        for cells in scores.table_rows(rows):
            shown.add_row(*cells)
        console = Console()
        # A table in a file or a pipe need not fit a terminal.
        console.print(shown, width=None if console.is_terminal else FILE_WIDTH)
    return 0


def _record(model: str, figures: dict[str, Any]) -> None:
    """Store the figures of all conditions in a model's manifest."""
    manifest = models.load(model)
    kept = {key: value for key, value in figures.items() if key not in ("model", "version")}
    write_manifest(
        replace(manifest, metrics={**manifest.metrics, "conditions": kept}), manifest.path
    )
