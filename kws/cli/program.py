"""Shared by all commands: parsers, signals, exit codes, one-line errors, JSON on stdout."""

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
from pathlib import Path
from typing import Any, NoReturn

from kws import __version__
from kws.errors import ConfigError, KwsError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
OUR_LOGGERS = ("kws", "training", "__main__")
# For so long after the first signal further ones are ignored.
ENDING_S = 2.0


class UsageError(ConfigError):
    """Options that exclude or need each other."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with usage; name the option for a file given without one, a likely first try."""
        name = message.rpartition(": ")[2]
        if "unrecognized" in message and "--input" in self.format_help() and Path(name).is_file():
            message += f"; to read a file: --input {name}"
        super().error(message)


def parser(name: str, description: str, *, examples: str) -> argparse.ArgumentParser:
    """Return a parser with `--version`, `--verbose` and examples below its help."""
    made = _Parser(
        prog=name,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"{name} {__version__}")
    made.add_argument("-v", "--verbose", action="store_true", help="log more to stderr")
    return made


def add_command(
    commands: Any, name: str, *, text: str, examples: str, description: str | None = None
) -> argparse.ArgumentParser:
    """Add a subcommand; its help shows the examples that mention it."""
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
        help="form of the model; auto takes the cheapest available (default: auto)",
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
        "(default: that of the streaming model; 100 without one, or with --mode window)",
    )


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
    logging.basicConfig(
        level=level, format=f"{made.prog}: %(message)s", handlers=[_StderrHandler()]
    )
    try:
        with _terminate_as_interrupt():
            return command(arguments)
    except KwsError as error:
        print(f"{made.prog}: error: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has ended (| head): no error message, but nothing left to do.
        _drop_output()
        return EXIT_ERROR
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{made.prog}: error: {where}{error.strerror}", file=sys.stderr)
        _drop_output()
        return EXIT_ERROR


class StopSignal:
    """Ctrl-C and SIGTERM as a flag for a loop that polls `check`, instead of at any bytecode.

    Install it with a `with` statement. Further signals are ignored for two seconds, so that an
    impatient user does not cut off the ending; after that one raises `KeyboardInterrupt` at once.
    A SIGINT that is ignored at the start (nohup, a background job of a script) stays ignored.
    """

    def __init__(self) -> None:
        self._requested_s: float | None = None
        self._kept: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> StopSignal:
        # Only the main thread may install handlers; a test or another program may call elsewhere.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    self._kept.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._kept:
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal has come."""
        if self._requested_s is not None:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self._requested_s is None:
            self._requested_s = now
        elif now - self._requested_s > ENDING_S:
            raise KeyboardInterrupt


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Logs our records, and warnings of libraries, to the current standard error.

    Not to that of the start: the meter redirects it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in OUR_LOGGERS or record.levelno >= logging.WARNING:
            self.stream = sys.stderr
            super().emit(record)


def _refuse_renamed(
    made: argparse.ArgumentParser, words: Sequence[str], renamed: Mapping[str, str]
) -> None:
    """Exit with one line if the first word that is no option is a former subcommand."""
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb in renamed:
        made.exit(EXIT_USAGE, f"{made.prog} {verb}: replaced by '{renamed[verb]}'\n")


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Make SIGTERM raise `KeyboardInterrupt` as Ctrl-C does, so that cleanup runs."""
    # Only the main thread may install handlers; a test or another program may call elsewhere.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _drop_output() -> None:
    """Discard what is buffered for stdout, which Python would report at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(record: dict[str, Any]) -> None:
    """Print one JSON object on one line and flush."""
    print(json.dumps(record), flush=True)
