"""`kws-eval report`: a table from the manifests of models, or a page of measurements."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws import models
from kws.cli import program
from kws.errors import ConfigError
from kws.files import write_atomically
from kws.manifest import ModelManifest, write_manifest
from training.cli.terminal import command_line, progress_bar

if TYPE_CHECKING:
    from training.report.measure import ReportPlan

EXAMPLES = """\
  kws-eval report
  kws-eval report tiny default --data speech_commands --split validation --out reports/models
  kws-eval report default --streams misses=noise-10db accepts=speech --bench pi4.json --out r
"""
DESCRIPTION = """\
Without measurements: a Markdown table from the manifests (--out FILE.md writes it to a file).
With --out DIR: report.html, a page without external files, report.md and report.json.
--data, --streams, --conditions, and --bench or --run-bench add measurements; everything else on
the page comes from the files of the models."""


def add_parsers(commands: Any) -> None:
    """Add the command with its options."""
    made = program.add_command(
        commands,
        "report",
        examples=EXAMPLES,
        text="models side by side: a page of measurements, or a table from the manifests",
        description=DESCRIPTION,
    )
    made.set_defaults(run=report)
    made.add_argument("models", nargs="*", help="names or manifests (default: all that ship)")
    made.add_argument(
        "--data", type=Path, metavar="DIR", help="clips, as `kws-eval clips` takes them"
    )
    made.add_argument("--split", choices=("training", "validation", "testing"))
    made.add_argument("--seed", type=int, default=2018, help="of all draws (default: 2018)")
    made.add_argument(
        "--environment",
        type=Path,
        metavar="DIR",
        help="environmental sounds as noise, CLASS/FOLD-*.wav; only the held-out fold is used "
        "(default: esc10 beside DATA, if it exists)",
    )
    made.add_argument(
        "--noise",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="your own noise, instead of noise held out of training",
    )
    _add_other_measurements(made)
    made.add_argument("--out", type=Path, metavar="DIR|FILE.md", help="output folder or file")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    made.add_argument(
        "--write",
        action="store_true",
        help="also write the accuracies over noise (--data) into the manifests",
    )


def _add_other_measurements(made: argparse.ArgumentParser) -> None:
    """Add the options of long audio, latency, and the runtime."""
    made.add_argument(
        "--streams",
        nargs="+",
        default=[],
        metavar="[misses=|accepts=]DIR",
        help="long audio with its truth.csv, for missed words, false alarms, or both",
    )
    text = "from kws-eval make-conditions, for the figures of each condition"
    made.add_argument("--conditions", type=Path, metavar="DIR", help=text)
    text = "of the conditions (default: b)"
    made.add_argument("--half", choices=("a", "b", "both"), default="b", help=text)
    made.add_argument(
        "--bench", type=Path, nargs="+", default=[], metavar="JSON", help="from kws-bench --json"
    )
    made.add_argument("--run-bench", action="store_true", help="measure latency on this machine")
    made.add_argument(
        "--runtime",
        choices=("ai-edge-litert", "tflite-runtime", "tensorflow"),
        help="TFLite runtime (default: $KWS_RUNTIME, else the first one installed)",
    )
    made.add_argument(
        "--kernels", choices=("default", "reference"), default="default", help="(default: default)"
    )


def report(arguments: argparse.Namespace) -> int:
    """Compare models by their manifests alone, or by measurements."""
    names = arguments.models or models.names()
    options = ("data", "streams", "conditions", "bench", "run_bench")
    measured = any(getattr(arguments, name) for name in options)
    into_file = arguments.out is not None and arguments.out.suffix == ".md"
    for option in ("split", "noise", "environment", "write"):
        if getattr(arguments, option) and not arguments.data:
            raise ConfigError(f"--{option}: expected --data DIR beside it")
    if not measured and (arguments.out is None or into_file):
        return _compare_manifests(names, arguments)
    from training.report import measure, page
    from training.report.models import open_models
    from training.report.sections import sections

    plan = _plan(arguments)
    if arguments.out is not None and not into_file:
        _make_folder(arguments.out)
    opened = open_models(names, runtime=arguments.runtime, kernels=arguments.kernels)
    made = measure.measure(opened, plan, command=command_line(), progress=progress_bar)
    if arguments.write:
        for model, row in zip(opened, made["models"]):
            _record_noise(model.manifest, row["noise"], made)
    found = sections(made)
    if into_file:
        write_atomically(arguments.out, page.markdown(made, found))
    elif arguments.out is not None:
        written = page.write(made, found, arguments.out)
        if not arguments.json:
            print("\n".join(str(path) for path in written))
    if arguments.json:
        program.print_json(made)
    elif arguments.out is None:
        print(found[0].tables[0].markdown())
    return 0


def _record_noise(manifest: ModelManifest, rows: list[Any], made: dict[str, Any]) -> None:
    """Write the accuracies over noise into a manifest, with their provenance."""
    names = ("snr_db", "n", "accuracy", "keyword_recall")
    noise = {
        "split": made["data"]["split"],
        "seed": made["data"]["seed"],
        "sources": made["data"]["noise"],
        "levels": [{name: row[name] for name in names} for row in rows],
        "command": made["command"],
    }
    write_manifest(replace(manifest, metrics={**manifest.metrics, "noise": noise}), manifest.path)


def _compare_manifests(names: list[str], arguments: argparse.Namespace) -> int:
    """Print or write the table of the figures in the manifests."""
    from training.report.models import manifest_row, manifest_table

    manifests = [models.load(name) for name in names]
    if arguments.json:
        text = json.dumps({"models": [manifest_row(manifest) for manifest in manifests]})
    else:
        text = manifest_table(manifests).markdown()
    if arguments.out:
        write_atomically(arguments.out, text + "\n")
    else:
        print(text)
    return 0


def _plan(arguments: argparse.Namespace) -> ReportPlan:
    """Return what to measure, with all inputs checked before anything runs."""
    from training.conditions.layout import read_conditions
    from training.evaluation.noisy_clips import held_out_noise
    from training.report.measure import ClipPlan, ReportPlan
    from training.report.streams import check_roles, parse_folder

    streams = tuple(parse_folder(text) for text in arguments.streams)
    check_roles(streams)
    clips = None
    if arguments.data is not None:
        # The noise of the training split is in the training data.
        split = "testing" if arguments.split == "testing" else "validation"
        noise = held_out_noise(
            arguments.data, split, environment=arguments.environment, folders=arguments.noise
        )
        clips = ClipPlan(arguments.data, arguments.split, arguments.seed, noise)
    conditions = read_conditions(arguments.conditions) if arguments.conditions else ()
    return ReportPlan(
        clips,
        streams,
        tuple(arguments.bench),
        arguments.run_bench,
        tuple(conditions),
        None if arguments.half == "both" else arguments.half,
    )


def _make_folder(path: Path) -> None:
    """Create the output folder before the measurements start."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"--out {path}: expected a folder, or a file that ends in .md") from error
