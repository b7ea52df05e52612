"""`kws-eval`: measure models on clips and on long audio; needs no TensorFlow."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import MissingDependencyError
from training.cli.report_options import add_report
from training.cli.tune_options import add_tune

EXAMPLES = """\
  kws-eval clip yes.wav --model default --label yes
  kws-eval clips --model default --data speech_commands --split validation --out reports/clips
  kws-eval make-stream --clips speech_commands --split validation --background noise.wav --out s
  kws-eval stream --model default --audio s --truth s/truth.csv --out reports/stream
  kws-eval tune --model default --audio quiet --misses words --fa-per-hour 1
  kws-eval report default --data speech_commands --split validation --out reports/default
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_dispatch, _parser(), argv)


def _dispatch(arguments: argparse.Namespace) -> int:
    try:
        commands = importlib.import_module(f"training.cli.{_module_of(arguments.command)}")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"kws-eval needs its extra ({error.name} is missing); "
            "pip install '.[eval]' in a checkout of kws"
        ) from error
    command: Any = getattr(commands, arguments.command.replace("-", "_"))
    code: int = command(arguments)
    return code


def _module_of(command: str) -> str:
    """Return the module that holds a command: the page needs a template engine beside the rest."""
    return {"report": "report", "tune": "tune"}.get(command, "evaluate_run")


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-eval",
        "Measure keyword models on clips and on long audio, with tables and pictures.",
        examples=EXAMPLES,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_clip(commands)
    _add_clips(commands)
    _add_stream(commands)
    _add_make_stream(commands)
    add_tune(commands)
    add_report(commands)
    return made


def _add_clip(commands: Any) -> None:
    made = program.add_command(
        commands, "clip", examples=EXAMPLES, text="one clip: waveform, log-mel and posteriors"
    )
    made.add_argument("file", type=Path, metavar="FILE")
    program.add_model_arguments(made)
    made.add_argument("--label", help="what is spoken; says right or wrong")
    made.add_argument("--out", type=Path, metavar="PNG", help="picture (default: FILE.png here)")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_clips(commands: Any) -> None:
    made = program.add_command(
        commands,
        "clips",
        examples=EXAMPLES,
        text="a folder of labelled clips: accuracy, precision, recall, F1, confusion",
        description="Without --split every clip counts; folders that are no label of the model "
        "count as _unknown_. With --split the clips of that split count as the field scores "
        "them: all of the keywords, as many unknown ones as a keyword has on average drawn "
        "evenly by word, and as many cuts of _background_noise_. A model of plain classes has its "
        "clips split as its recipe says (by folds, speakers or at random).",
    )
    program.add_model_arguments(made)
    made.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR|CSV|NPZ",
        help="one folder a label; for a model of plain classes also a table or an archive",
    )
    made.add_argument("--split", choices=("training", "validation", "testing"))
    made.add_argument("--seed", type=int, default=2018, help="of the draws (default: 2018)")
    made.add_argument("--out", type=Path, metavar="DIR", help="pictures and predictions.csv")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_stream(commands: Any) -> None:
    made = program.add_command(
        commands,
        "stream",
        examples=EXAMPLES,
        text="long audio: false rejects, false accepts an hour, latency",
    )
    program.add_model_arguments(made)
    made.add_argument(
        "--audio",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of audio files, or one file",
    )
    made.add_argument(
        "--truth", type=Path, required=True, metavar="CSV", help="file,keyword,start_s,end_s"
    )
    program.add_hop_argument(made)
    made.add_argument(
        "--threshold",
        nargs="+",
        action="extend",
        metavar="X|KEYWORD=X",
        help="instead of the manifest's",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="curve.png and errors.csv")
    made.add_argument("--write", metavar="NAME", help="put the figures into the model's manifest")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_make_stream(commands: Any) -> None:
    made = program.add_command(
        commands,
        "make-stream",
        examples=EXAMPLES,
        text="build long test audio and its truth from clips over a background",
        description="Lays clips over noise or running speech. The level of a clip is that of its "
        "loudest 300 ms, the background's its RMS. Seeded: the same call gives the same audio.",
    )
    made.add_argument("--clips", type=Path, required=True, metavar="DIR", help="one folder a word")
    made.add_argument("--split", choices=("training", "validation", "testing"))
    made.add_argument(
        "--keywords",
        default="yes,no,up,down,left,right,on,off,stop,go",
        metavar="A,B",
        help="folders to draw from (default: the ten commands)",
    )
    made.add_argument(
        "--background",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE|DIR",
        help="recordings, joined in the order given; of folders all files, sorted",
    )
    made.add_argument(
        "--word-times",
        type=Path,
        metavar="CSV",
        help="utterance,word,start_sample,n_samples of the background: keywords in it are ignored",
    )
    made.add_argument(
        "--snr-db", type=float, default=10.0, help="of words over background (default: 10)"
    )
    made.add_argument("--per-minute", type=float, default=12.0, help="keywords (default: 12)")
    made.add_argument("--minutes", type=float, help="length (default: the background's)")
    made.add_argument("--file-minutes", type=float, default=10.0, help="of each WAV (default: 10)")
    made.add_argument("--no-clips", action="store_true", help="the background alone")
    made.add_argument(
        "--group",
        choices=("all", "speaker", "halves"),
        default="all",
        help="speaker: files of their own for each speaker of the background (by file name); "
        "halves: a-*.wav and b-*.wav without a speaker or a recording in common; default: all",
    )
    made.add_argument("--seed", type=int, default=1, help="of all draws (default: 1)")
    made.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for the WAV files and truth.csv"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


if __name__ == "__main__":
    sys.exit(main())
