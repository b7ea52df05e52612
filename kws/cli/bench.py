"""`kws-bench`: measure the cost of a model on this machine, on real audio."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from kws import __version__
from kws.bench import compare, report, run, timing
from kws.bench.run import Plan
from kws.cli import program
from kws.dataclass_io import check_range

EXAMPLES = """\
  kws-bench                              back to back, on the demo recording
  kws-bench --paced --seconds 30         in real time, as in use
  kws-bench --runtime tflite-runtime --json
  kws-bench --input my_room.wav --hop-ms 50
  kws-bench --compare stream window      two forms of a model, and their ratios
  kws-bench --compare default mine.json:window@tflite-runtime --out comparison
"""
# A comparison needs more rounds: a ratio has the noise of both models.
ROUNDS, PAIR_ROUNDS, PACED_ROUNDS = 5, 10, 1
SECONDS, PACED_PAIR_SECONDS, MAX_SECONDS = 60.0, 20.0, 3_600.0
MAX_ROUNDS, MAX_THREADS = 100, 256


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    command = shlex.join(["kws-bench", *words])
    return program.run(lambda arguments: _bench(arguments, command), _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-bench",
        "Measure latency, CPU, memory and cold start of a model on real audio, through the same "
        "code that listens.",
        examples=EXAMPLES,
    )
    program.add_model_arguments(made)
    program.add_hop_argument(made)
    made.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"audio of one run (default: {SECONDS:.0f}; {PACED_PAIR_SECONDS:.0f} for "
        "--compare with --paced)",
    )
    made.add_argument(
        "--input", type=Path, metavar="FILE", help="audio (default: the demo, looped)"
    )
    made.add_argument("--paced", action="store_true", help="in real time instead of back to back")
    made.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help=f"runs (default: {ROUNDS}, with --paced {PACED_ROUNDS}; for --compare {PAIR_ROUNDS}, "
        f"with --paced {compare.MIN_ROUNDS})",
    )
    made.add_argument("--threads", type=int, default=1, help="of the interpreter (default: 1)")
    made.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="run two in turn and print ratios; each is MODEL, MODE or MODEL:MODE, optionally "
        "with @RUNTIME",
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    made.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write report.md and bench.json there, to send in or to keep",
    )
    return made


def _bench(arguments: argparse.Namespace, command: str) -> int:
    plan = _plan(arguments)
    options = {
        "name_or_path": arguments.model,
        "mode": arguments.mode,
        "runtime": arguments.runtime,
        "kernels": arguments.kernels,
        "hop_ms": arguments.hop_ms,
        "n_threads": arguments.threads,
    }
    sides = [compare.parse_side(text, defaults=options) for text in arguments.compare or ()]
    if arguments.out:
        report.prepare(arguments.out)
    try:
        measured = run.measure(sides or [options], plan, progress=_show_progress)
    finally:
        _show_progress("")
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    table = {"kws": __version__, "date": now, "command": command, **measured}
    if arguments.out:
        report.write(arguments.out, table)
    if arguments.json:
        program.print_json(table)
    else:
        print("\n".join(report.lines(table)))
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    """Return what to run, with defaults.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """
    paced, pair = arguments.paced, arguments.compare is not None
    seconds = arguments.seconds
    if seconds is None:
        seconds = PACED_PAIR_SECONDS if paced and pair else SECONDS
    n_rounds = arguments.repeats
    fewest = compare.MIN_ROUNDS if pair else 1
    if n_rounds is None:
        n_rounds = max(fewest, PACED_ROUNDS if paced else PAIR_ROUNDS if pair else ROUNDS)
    check_range("--seconds", seconds, 0, MAX_SECONDS, above=True)
    check_range("--repeats" + " of --compare" * pair, n_rounds, fewest, MAX_ROUNDS)
    check_range("--threads", arguments.threads, 1, MAX_THREADS)
    return Plan(arguments.input or timing.DEMO, seconds, n_rounds, paced=paced)


def _show_progress(text: str) -> None:
    """Show what runs, in one line on stderr, if that is a terminal; "" removes the line."""
    if sys.stderr.isatty():
        line = f"kws-bench: {text}" if text else ""
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
