"""`kws-train compare`: the learning curves of several runs in one picture, and a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program
from training.cli.terminal import PICTURES, check_picture

EXAMPLES = """\
  kws-train compare runs/conv1d-8k runs/conv1d-skip-8k --out curves.png
  kws-train compare runs/* --json
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "compare",
        examples=EXAMPLES,
        text="learning curves of several runs in one picture, with a Markdown table",
    )
    made.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of training runs")
    made.add_argument("--out", type=Path, metavar="PICTURE", help=f"{', '.join(PICTURES)}")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def compare(arguments: argparse.Namespace) -> int:
    """Print the table, and draw the curves where asked."""
    out = arguments.out
    if out is not None:
        check_picture(out, "--out")
    from training.evaluation import compare as comparing

    runs = comparing.read_runs(arguments.runs)
    if out is not None:
        comparing.draw_runs(runs, out)
    if arguments.json:
        rows = [comparing.row(run) for run in runs]
        program.print_json({"runs": rows, "picture": None if out is None else str(out)})
    else:
        print(comparing.markdown(runs))
    return 0
