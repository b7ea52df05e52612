"""`kws-enroll`: enrol new words from a few recordings; needs no TensorFlow."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from kws.cli import program
from kws.errors import MissingDependencyError

EXAMPLES = """\
  kws-enroll computer --record 10 --out my           say it ten times at the microphone
  kws-enroll computer --clips recordings --out my    from audio files, one utterance in each
  kws-enroll lamp fan --clips recordings --out my    recordings/lamp/*.wav, recordings/fan/*.wav
  kws-enroll computer --clips recordings --add-to default --out my    keep the ten words too
  kws-enroll "hey lamp" --synthesise 60 --out my     from synthesised voices, to try an idea
  kws-listen --model my/computer.json
"""
DESCRIPTION = (
    "Make a model for your own words from a few recordings, on this machine only. What "
    "`--record` records stays in OUT/recordings: a later run can add to it or use it again."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_run, _parser(), argv)


def _run(arguments: argparse.Namespace) -> int:
    try:
        run = importlib.import_module("training.cli.enroll_run")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"kws-enroll needs its extra ({error.name} is missing); "
            "pip install '.[enroll]' in a checkout of kws"
        ) from error
    code: int = run.enroll(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    made = program.parser("kws-enroll", DESCRIPTION, examples=EXAMPLES)
    made.add_argument("words", nargs="+", metavar="WORD", help="a word, or a phrase in quotes")
    source = made.add_argument_group("recordings").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--record", type=int, metavar="N", help="record each word N times at the microphone"
    )
    source.add_argument(
        "--clips",
        type=Path,
        metavar="DIR",
        help="audio files: DIR/WORD/*, or DIR/* for a single word",
    )
    source.add_argument(
        "--synthesise",
        type=int,
        metavar="N",
        help="N clips per word from espeak-ng and flite; expect more misses of real speakers",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the model")
    made.add_argument(
        "--add-to",
        metavar="MODEL",
        help="keep the words of this model too: default, tiny, large or a file",
    )
    made.add_argument("--name", help="name of the model (default: the words joined by -)")
    _add_learning_options(made.add_argument_group("learning"))
    recording = made.add_argument_group("microphone")
    recording.add_argument("--device", metavar="D", help="index or part of a name")
    recording.add_argument("--yes", action="store_true", help="keep good recordings without asking")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return made


def _add_learning_options(made: argparse._ArgumentGroup) -> None:
    numbers: tuple[tuple[str, type, float | None, str], ...] = (
        (
            "--fa-per-hour",
            float,
            0.5,
            "target false accepts per hour of each word (default: 0.5)",
        ),
        ("--copies", int, 60, "augmented copies per recording (default: 60)"),
        ("--seed", int, 1, "random seed of the copies (default: 1)"),
        (
            "--voices",
            int,
            None,
            "synthesised voices for fewer than 5 recordings, if espeak-ng or flite is installed; "
            "the 15 most similar ones are used (default: 60; 0: none)",
        ),
    )
    for name, kind, default, text in numbers:
        made.add_argument(name, type=kind, default=default, metavar="N", help=text)
    made.add_argument(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="your own audio without the words, such as the radio in the room; repeatable",
    )
    text = "embedding network (default: words)"
    made.add_argument("--backbone", default="words", metavar="NAME|PATH", help=text)


if __name__ == "__main__":
    sys.exit(main())
