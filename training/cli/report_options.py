"""The options of `kws-eval report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program

EXAMPLES = """\
  kws-eval report
  kws-eval report tiny default --data speech_commands --split validation --out reports/models
  kws-eval report default --streams misses=noise-10db accepts=speech --bench pi4.json --out r
"""
DESCRIPTION = """\
Without measurements: what the manifests say, as a Markdown table (--out FILE.md writes it).
With --out DIR: report.html, one page that needs no other file, report.md and report.json.
What is measured is what --data, --streams and --bench or --run-bench give; the rest of the page
comes from the files of the models."""


def add_report(commands: Any) -> None:
    """Add the command to the parser of `kws-eval`."""
    made = program.add_command(
        commands,
        "report",
        examples=EXAMPLES,
        text="models side by side: a page of all that is measured, or a table of the manifests",
        description=DESCRIPTION,
    )
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
        help="environmental sounds as noise, CLASS/FOLD-*.wav, of which the held-out fold counts "
        "(default: esc10 beside DATA, if there)",
    )
    made.add_argument(
        "--noise",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="noise of your own instead of that held out of training",
    )
    _add_other_measurements(made)
    made.add_argument("--out", type=Path, metavar="DIR|FILE.md", help="where it is written to")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    made.add_argument(
        "--write",
        action="store_true",
        help="also put the accuracies over noise (--data) into the models' manifests",
    )


def _add_other_measurements(made: argparse.ArgumentParser) -> None:
    """Add what is measured beside clips, and how models are run."""
    made.add_argument(
        "--streams",
        nargs="+",
        default=[],
        metavar="[misses=|accepts=]DIR",
        help="long audio with its truth.csv; misses or false accepts are counted on it, or both",
    )
    made.add_argument(
        "--bench", type=Path, nargs="+", default=[], metavar="JSON", help="from kws-bench --json"
    )
    made.add_argument("--run-bench", action="store_true", help="measure latency here and now")
    made.add_argument(
        "--runtime",
        choices=("ai-edge-litert", "tflite-runtime", "tensorflow"),
        help="TFLite runtime (default: $KWS_RUNTIME, else the first one installed)",
    )
    made.add_argument(
        "--kernels", choices=("default", "reference"), default="default", help="(default: default)"
    )
