"""What all commands share: parsers, exit codes, errors in one line, JSON on stdout."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kws import __version__
from kws.errors import ConfigError, KwsError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# So long after an interrupt others are of no use: everything ends already.
ENDING_S = 2.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class UsageError(ConfigError):
    """Options that do not go together."""


def parser(name: str, description: str, *, examples: str) -> argparse.ArgumentParser:
    """Return a parser with `--version`, `--verbose` and examples below its help."""
    made = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"{name} {__version__}")
    made.add_argument("-v", "--verbose", action="store_true", help="say more on stderr")
    return made


def add_command(
    commands: Any, name: str, *, text: str, examples: str, description: str | None = None
) -> argparse.ArgumentParser:
    """Add a subcommand; those of the examples that show it stand below its help."""
    shown = "\n".join(line for line in examples.splitlines() if f" {name}" in line)
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=description or text[0].upper() + text[1:] + ".",
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def add_model_arguments(made: argparse._ActionsContainer, *, model: str | None = "default") -> None:
    """Add the options that choose a model and how it is run."""
    made.add_argument(
        "--model",
        default=model,
        required=model is None,
        metavar="NAME|PATH",
        help="a model that ships (kws-models list) or a manifest"
        + (f" (default: {model})" if model else ""),
    )
    made.add_argument(
        "--mode",
        choices=("auto", "stream", "window"),
        default="auto",
        help="form of the model; auto takes the cheapest it has (default: auto)",
    )
    made.add_argument(
        "--runtime",
        choices=("ai-edge-litert", "tflite-runtime", "tensorflow"),
        help="TFLite runtime (default: $KWS_RUNTIME, else the first one installed)",
    )
    made.add_argument(
        "--kernels",
        choices=("default", "reference"),
        default="default",
        help="reference: the same int8 values on every machine, slowly (default: default)",
    )


def add_hop_argument(made: argparse._ActionsContainer) -> None:
    """Add the option that chooses the hop: None where it is not given."""
    made.add_argument(
        "--hop-ms",
        type=int,
        metavar="MS",
        help="time between windows, a multiple of 10; shorter detects sooner and costs more "
        "(default: the step of the model's stream form; 100 without one, or with --mode window)",
    )


def add_renamed_option(made: argparse._ActionsContainer, old: str, new: str) -> None:
    """Answer a former option with one line that names the new one, and exit code 2."""
    made.add_argument(
        old,
        nargs="?",
        action=_RenamedOption,
        dest=argparse.SUPPRESS,
        const=new,
        help=argparse.SUPPRESS,
    )


class _RenamedOption(argparse.Action):
    """Ends the program; `const` is the option's new name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        parser.exit(EXIT_USAGE, f"{parser.prog}: {option_string}: renamed to {self.const}\n")


def run(
    command: Callable[[argparse.Namespace], int],
    made: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    *,
    renamed: Mapping[str, str] | None = None,
) -> int:
    """Parse, run `command`, and return its exit code: 0 done, 1 error, 2 usage, 130 interrupted.

    Parameters
    ----------
    renamed : mapping of str to str, optional
        Former subcommands and what to type today, as ``{"bank": "kws-train cache"}``.
    """
    _refuse_renamed(made, sys.argv[1:] if argv is None else argv, renamed or {})
    arguments = made.parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format=f"{made.prog}: %(message)s", stream=sys.stderr)
    try:
        with _terminate_as_interrupt():
            return command(arguments)
    except KwsError as error:
        print(f"{made.prog}: error: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (| head): no error, but nothing more to say.
        _drop_output()
        return EXIT_ERROR
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{made.prog}: error: {where}{error.strerror}", file=sys.stderr)
        _drop_output()
        return EXIT_ERROR


def _refuse_renamed(
    made: argparse.ArgumentParser, words: Sequence[str], renamed: Mapping[str, str]
) -> None:
    """Exit with one line if the first word that is no option is a former subcommand."""
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb in renamed:
        made.exit(EXIT_USAGE, f"{made.prog} {verb}: renamed to '{renamed[verb]}'\n")


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that what must be tidied up is."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # Only the main thread may say so; a test or another program may call us from elsewhere.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def first_interrupt_only() -> Iterator[None]:
    """Let one Ctrl-C or SIGTERM through, and for two seconds no other.

    Who presses Ctrl-C twice means the end, and not an end that is cut off half-way. One that
    comes while Python's own `threading` waits may arrive as a ``RuntimeError`` about a lock: it
    goes on as the ``KeyboardInterrupt`` that it was.
    """
    # As for SIGTERM above; and whoever started us with SIGINT ignored wants it to stay so.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    quiet_until = float("-inf")

    def interrupt(number: int, frame: object) -> None:
        nonlocal quiet_until
        now = time.monotonic()
        if now >= quiet_until:
            quiet_until = now + ENDING_S
            raise KeyboardInterrupt

    kept = [(number, signal.signal(number, interrupt)) for number in ENDING_SIGNALS]
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt) and "lock" in str(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in kept:
            signal.signal(number, handler)


def _drop_output() -> None:
    """Let what is still buffered for stdout go nowhere, or Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(record: dict[str, Any]) -> None:
    """Print one JSON object on a line of its own, at once."""
    print(json.dumps(record), flush=True)
