"""The options of `kws-eval tune`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program

EXAMPLES = """\
  kws-eval tune --model default --audio quiet-speech quiet-noise --misses words --fa-per-hour 1
  kws-eval tune --audio quiet-speech --misses words --split-speakers both-ways --dry-run
  kws-eval tune --audio quiet-speech --misses words --fa-per-hour 0.5 --picture tuning.png
"""


def add_tune(commands: Any) -> None:
    """Add the command with its options."""
    made = program.add_command(
        commands,
        "tune",
        examples=EXAMPLES,
        text="smoothing, context and thresholds for a stated number of false accepts an hour",
        description="Runs audio in which no keyword is spoken (ignored spans of its truth aside) "
        "and test words, chooses what misses the fewest words for the rate asked for on one half "
        "of the speakers, reports on the other half, and writes the choice into the manifest. "
        "How posteriors are smoothed, how much other speech before a word counts, the quiet time "
        "and each keyword's threshold are chosen. Posteriors are kept for the next time.",
    )
    program.add_model_arguments(made)
    made.add_argument(
        "--audio",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="audio without keywords; the speaker of a file is what its name has before the "
        "first hyphen",
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
        help="test words with their truth.csv; without them nothing but one threshold for all "
        "keywords is tuned",
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
        help="tune on this half and report on the other; both-ways: each in turn, reports "
        "pooled, the choice made on all speakers; none: tune on all (default: half-a)",
    )
    made.add_argument(
        "--rule",
        choices=("shrunk", "common", "counts", "margin"),
        default="shrunk",
        help="how the few false accepts of a few hours are read (default: shrunk)",
    )
    made.add_argument(
        "--own-share",
        type=float,
        default=0.25,
        metavar="W",
        help="of shrunk: how far each keyword's threshold follows its own best place, 0 to 1 "
        "(default: 0.25)",
    )
    made.add_argument(
        "--smoothing-ms",
        type=int,
        nargs="+",
        default=[200, 300, 400, 500],
        metavar="MS",
        help="to choose from (default: 200 to 500; longer ones may miss a word said twice)",
    )
    made.add_argument(
        "--suppression-ms",
        type=int,
        nargs="+",
        metavar="MS",
        help="to choose from (default: the model's own, 300, 500 and 700)",
    )
    made.add_argument(
        "--context-weights",
        type=float,
        nargs="+",
        default=[0.0, 2.0, 3.0, 4.0],
        metavar="W",
        help="log odds that keywords lose after other speech, to choose from (default: 0 2 3 4)",
    )
    made.add_argument(
        "--max-latency-s",
        type=float,
        default=0.3,
        metavar="S",
        help="median after the word's end that smoothing may bring (default: 0.3)",
    )
    made.add_argument("--floor", type=float, default=0.2, help="lowest threshold (default: 0.2)")
    program.add_hop_argument(made)
    made.add_argument(
        "--study",
        type=int,
        metavar="N",
        help="instead: compare the rules over N drawn halvings of the speakers, write nothing",
    )


def _add_outputs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--dry-run", action="store_true", help="leave the manifest as it is")
    made.add_argument("--picture", type=Path, metavar="PNG", help="misses against false accepts")
    made.add_argument(
        "--cache", type=Path, metavar="DIR", help="for posteriors (default: ~/.cache/kws/scores)"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
