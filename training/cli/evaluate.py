"""`kws-eval`: measure models on clips and on long audio, without TensorFlow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kws.cli import program
from kws.errors import MissingDependencyError
from training.cli import conditions, eval_clips, eval_stream, few_shot, report, tune

EXAMPLES = """\
  kws-eval clip yes.wav --model default --label yes
  kws-eval clips --model default --data speech_commands --split validation --out reports/clips
  kws-eval make-stream --clips speech_commands --split validation --background noise.wav --out s
  kws-eval stream --model default --audio s --truth s/truth.csv --out reports/stream
  kws-eval make-conditions --out conditions
  kws-eval conditions tiny default --conditions conditions
  kws-eval tune --model default --conditions conditions --dry-run
  kws-eval few-shot computer --clips wake_words --speech dev_clean --out reports/few-shot
  kws-eval report default --data speech_commands --split validation --out reports/default
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: that of the process) and return its exit code."""
    return program.run(_dispatch, _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-eval",
        "Measure keyword models on clips and on long audio, with tables and plots.",
        examples=EXAMPLES,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (eval_clips, eval_stream, conditions, tune, report, few_shot):
        module.add_parsers(commands)
    return made


def _dispatch(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"kws-eval needs its extra ({error.name} is missing); "
            "pip install '.[eval]' in a checkout of kws"
        ) from error
    return code


if __name__ == "__main__":
    sys.exit(main())
