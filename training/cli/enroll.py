"""`kws-enroll`: teach words of one's own; needs no TensorFlow."""

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
  kws-enroll computer --clips recordings --out my    from audio files, one word in each
  kws-enroll lamp fan --clips recordings --out my    recordings/lamp/*.wav, recordings/fan/*.wav
  kws-enroll computer --clips recordings --add-to default --out my    beside the ten words
  kws-enroll "hey lamp" --synthesise 60 --out my     from synthesised voices, to try an idea
  kws-listen --model my/computer.json
"""
DESCRIPTION = (
    "Teach words of your own: from a handful of recordings to a model that kws-listen takes, on "
    "this machine alone. Recordings stay in OUT/recordings, to be added to or taught from again."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_run, _parser(), argv)


def _run(arguments: argparse.Namespace) -> int:
    try:
        enrolling = importlib.import_module("training.cli.enroll_run")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"kws-enroll needs its extra ({error.name} is missing); "
            "pip install '.[enroll]' in a checkout of kws"
        ) from error
    code: int = enrolling.enroll(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    made = program.parser("kws-enroll", DESCRIPTION, examples=EXAMPLES)
    made.add_argument("words", nargs="+", metavar="WORD", help="word, or phrase in quotes")
    source = made.add_argument_group("where recordings come from").add_mutually_exclusive_group(
        required=True
    )
    source.add_argument(
        "--record", type=int, metavar="N", help="say each word N times at the microphone"
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
        help="N clips a word by espeak-ng and flite; people sound otherwise, expect more misses",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the model")
    made.add_argument(
        "--add-to", metavar="MODEL", help="keep the words of this model (default, ...) as well"
    )
    made.add_argument("--name", help="name of the model (default: the words joined by -)")
    _add_learning(made.add_argument_group("learning"))
    recording = made.add_argument_group("recording")
    recording.add_argument("--device", metavar="D", help="index or part of a name")
    recording.add_argument("--yes", action="store_true", help="keep each good recording unasked")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return made


def _add_learning(made: argparse._ArgumentGroup) -> None:
    made.add_argument(
        "--fa-per-hour",
        type=float,
        default=0.5,
        metavar="X",
        help="false accepts an hour of speech that thresholds are set for (default: 0.5)",
    )
    made.add_argument(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="audio without the words, such as your room and your radio; may be given twice",
    )
    made.add_argument(
        "--head",
        choices=("logistic", "dense", "prototype"),
        default="logistic",
        help="what is learned on the embedding (default: logistic)",
    )
    made.add_argument(
        "--backbone", default="words", metavar="NAME|PATH", help="the embedding (default: words)"
    )
    made.add_argument(
        "--copies", type=int, default=60, metavar="N", help="of each recording (default: 60)"
    )
    made.add_argument(
        "--voices",
        type=int,
        metavar="N",
        help="synthesised voices to choose from where a word has fewer than 5 recordings, if "
        "espeak-ng or flite is installed: the 15 most like them teach too (default: 60; 0: none)",
    )
    made.add_argument("--seed", type=int, default=1, help="of the copies (default: 1)")


if __name__ == "__main__":
    sys.exit(main())
