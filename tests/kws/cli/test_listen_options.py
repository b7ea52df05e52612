"""Options of `kws-listen` that need or exclude each other, and the commands of `--exec`."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from support.listen_runs import DEMO, Life

from kws.audio.files import read_file, read_pcm
from kws.cli.listen import main

KWS_LISTEN = [sys.executable, "-m", "kws"]


@pytest.fixture
def life(tmp_path):
    return Life(tmp_path / "life")


@pytest.mark.parametrize(
    "option",
    [
        ["--device", "usb"],
        ["--device", "0"],
        ["--channel", "1"],
        ["--gain-db", "0"],
        ["--latency", "high"],
        ["--no-reconnect"],
    ],
    ids=" ".join,
)
def test_microphone_options_are_refused_with_a_file(capsys, option):
    """
    A usage error, also for the default value.
    """
    code = main(["--input", str(DEMO), *option])

    assert 2 == code
    assert capsys.readouterr().err == (
        f"kws-listen: error: {option[0]}: expected a microphone, got --input {DEMO}; "
        "leave one of them out\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--realtime"], "--realtime: expected --input FILE; a microphone needs no pace"),
        (
            ["--input", "a.wav", "--exec-timeout", "30"],
            "--exec-timeout: expected --exec CMD, whose time it limits",
        ),
    ],
)
def test_dependent_options_are_refused_alone(capsys, arguments, message):
    """
    A usage error before anything is opened.
    """
    code = main(arguments)

    assert 2 == code
    assert capsys.readouterr().err == f"kws-listen: error: {message}\n"


def test_the_default_settings_are_those_of_the_microphone():
    """
    The defaults in --help are those of `CaptureConfig`.
    """
    from kws.audio.capture_config import CaptureConfig
    from kws.cli.listen_options import capture_config, make_parser

    nothing = capture_config(make_parser().parse_args([]))
    given = capture_config(
        make_parser().parse_args(
            shlex.split("--latency 80 --gain-db -3 --block-ms 20 --channel 2 --no-reconnect")
        )
    )

    assert nothing == CaptureConfig() == CaptureConfig(gain_db=0, latency="high", block_ms=50)
    assert given == CaptureConfig(channel=2, gain_db=-3, latency=80.0, block_ms=20, reconnect=False)


def test_a_silent_pipe_is_polled():
    """
    While the pipe is silent `poll` is called again and again; then the audio is read.
    """
    ours, theirs = os.pipe()
    n_waits = itertools.count(1)

    def wait() -> None:
        if next(n_waits) == 3:
            os.write(theirs, np.arange(100, dtype="<i2").tobytes())
            os.close(theirs)

    with os.fdopen(ours, "rb") as stream:
        samples = np.concatenate(list(read_pcm(stream, poll=wait)))

    np.testing.assert_array_equal(samples, np.arange(100))
    assert next(n_waits) == 4


def shell(life: Life, script: str) -> list[str]:
    """Return the option that runs a script which holds the pipe open as descriptor 3."""
    return ["--keywords", "yes", "--exec", f"sh -c {shlex.quote(f'exec 3> {life.path}; {script}')}"]


def test_a_command_times_out_while_a_pipe_is_silent(life):
    """
    Its time-out does not depend on audio.
    """
    yes = np.concatenate(list(read_file(DEMO)))[: 3 * 16_000]
    command = [*KWS_LISTEN, "--input", "-", *shell(life, "echo up >&3; exec sleep 1000")]
    with subprocess.Popen(
        [*command, "--exec-timeout", "0.2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(process.stdin.fileno(), yes.astype("<i2").tobytes())
        assert life.line() == "up"
        # Comes only when the command has ended; the pipe is still open.
        assert life.end() == ""
        assert process.poll() is None
        _, errors = process.communicate(timeout=60)

    assert "has run for 0.2 s; sent SIGTERM" in errors
    assert process.returncode == 0


def test_commands_are_waited_for_at_the_end_of_a_file(life, tmp_path):
    """
    It logs what it waits for, and ends when the command has.
    """
    os.mkfifo(tmp_path / "go")
    script = f"echo up >&3; read word < {tmp_path / 'go'}; echo $word >&3"
    with subprocess.Popen(
        [*KWS_LISTEN, "--input", str(DEMO), *shell(life, script)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert life.line() == "up"
        waits = process.stderr.readline()
        (tmp_path / "go").write_text("done\n")
        rest = process.stderr.read()
        code = process.wait(60)

    assert waits == "kws-listen: --exec: waiting for 1 command(s) that still run\n"
    assert life.end() == "done\n"
    assert "left running" not in rest
    assert "1 detection(s)" in rest
    assert code == 0


def test_commands_time_out_after_the_end_of_a_file(life):
    """
    None runs longer than allowed.
    """
    with subprocess.Popen(
        [
            *(*KWS_LISTEN, "--input", str(DEMO), "--exec-timeout", "0.2"),
            *shell(life, "echo up >&3; exec sleep 1000"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert life.line() == "up"
        assert life.end() == ""
        errors = process.stderr.read()
        code = process.wait(60)

    assert "has run for 0.2 s; sent SIGTERM" in errors
    assert "1 detection(s)" in errors
    assert code == 0


def test_commands_are_not_waited_for_after_a_signal(life):
    """
    A signal during that wait leaves the command running, and ends with the summary.
    """
    with subprocess.Popen(
        [*KWS_LISTEN, "--input", str(DEMO), *shell(life, "echo $$ >&3; exec sleep 1000")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        number = int(life.line())
        assert "waiting for 1 command(s)" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        os.kill(number, signal.SIGKILL)  # raises if it is gone
        errors = process.stderr.read()
    life.end()

    assert f"left running: process {number} for yes" in errors
    assert "1 detection(s)" in errors.splitlines()[-1]
    assert code == 130
