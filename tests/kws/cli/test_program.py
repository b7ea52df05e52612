"""What all commands share: exit codes, signals, one-line errors, renamed options."""

from __future__ import annotations

import os
import signal

import pytest

from kws.cli import program
from kws.errors import KwsError


def run(command) -> int:
    """Run a command of the test's own with no arguments."""
    return program.run(command, program.parser("kws-test", "A test.", examples=""), [])


def test_terminate_ends_as_ctrl_c_does():
    """
    SIGTERM in the middle of a command: its clean-up runs, exit code 130, and the handler that
    was there before is back.
    """
    before = signal.getsignal(signal.SIGTERM)
    tidied = []

    def command(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            tidied.append(True)

    assert program.EXIT_INTERRUPTED == run(command)
    assert [True] == tidied
    assert before == signal.getsignal(signal.SIGTERM)


def test_an_error_is_one_line_and_exit_code_1(capsys):
    """
    An error of ours: the program and the reason, no traceback.
    """

    def command(arguments):
        raise KwsError("the lamp is out")

    assert program.EXIT_ERROR == run(command)
    assert "kws-test: error: the lamp is out\n" == capsys.readouterr().err


def test_a_former_subcommand_names_the_new_one(capsys):
    """
    A subcommand that was renamed ends with exit code 2 and one line, whatever follows it.
    """
    parser = program.parser("kws-train", "A test.", examples="")

    with pytest.raises(SystemExit) as ended:
        program.run(lambda _: 0, parser, ["-v", "bank", "--x"], renamed={"bank": "kws-train cache"})

    assert ended.value.code == program.EXIT_USAGE
    assert capsys.readouterr().err == "kws-train bank: replaced by 'kws-train cache'\n"


@pytest.fixture
def handlers():
    """The handlers as at a terminal, however the tests were started; checked to be restored."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, kept)
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_loop_only_where_it_polls(handlers, number):
    """
    Nothing is interrupted until `check`.
    """
    with program.StopSignal() as stop:
        stop.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            stop.check()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_is_ignored_for_two_seconds(monkeypatch, clock, handlers, second):
    """
    An impatient user does not cut off the ending; but an ending that hangs can be interrupted.
    """
    monkeypatch.setattr(program.time, "monotonic", clock)
    with program.StopSignal():
        signal.raise_signal(signal.SIGINT)
        clock.now_s += 1.9
        signal.raise_signal(second)
        clock.now_s += 0.2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)


def test_an_ignored_interrupt_stays_ignored(handlers):
    """
    A shell script starts background jobs with SIGINT ignored; SIGTERM still ends them.
    """
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with program.StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        stop.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    signal.signal(signal.SIGINT, kept)
