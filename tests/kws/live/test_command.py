"""`--exec`: real commands that fail, hang, ignore signals, or outlive the listening."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys

import pytest
from support.listen_runs import Life, obey_interrupts
from support.logged import messages

from kws import models
from kws.decision.policy import Detection
from kws.errors import ConfigError
from kws.live.command import GRACE_S, MAX_RUNNING, CommandRunner

YES = Detection("yes", 0.97123, 1.7)
DEMO = models.FIRMWARE_MODELS / "demo.wav"


@pytest.fixture
def life(tmp_path):
    return Life(tmp_path / "life")


@pytest.fixture
def shell(clock):
    """Make a runner of a shell script; what it left running is killed at the end."""
    made = []

    def make(script: str, **options) -> CommandRunner:
        made.append(CommandRunner(f"sh -c {shlex.quote(script)}", clock=clock, **options))
        return made[-1]

    yield make
    for runner in made:
        clock.now_s += 1_000
        runner.poll()
        clock.now_s += 1_000
        runner.close(timeout_s=60)


def test_the_command_gets_the_detection_and_prints_to_stderr(shell, capfd):
    """
    Keyword, score and time are in its environment; its output never mixes with results.
    """
    runner = shell('echo "$KWS_KEYWORD $KWS_SCORE $KWS_TIME_S"')
    runner.detection(YES)
    runner.close(timeout_s=60)

    assert capfd.readouterr() == ("", "yes 0.9712 1.700\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", None),
        ("exit 3", "--exec for yes: sh ended with 3"),
        ("kill -KILL $$", "--exec for yes: sh was killed by SIGKILL"),
        ("kill -TERM $$", "--exec for yes: sh was killed by SIGTERM"),
        ("kill -40 $$", "--exec for yes: sh was killed by signal 40"),
    ],
)
def test_a_failed_command_is_logged(shell, caplog, script, message):
    """
    Exit code or signal, with the names of command and keyword; success is silent.
    """
    runner = shell(script)
    runner.detection(YES)
    runner.close(timeout_s=60)

    assert messages(caplog) == ([] if message is None else [message])
    assert runner.n_running == 0


def test_no_more_than_eight_run_at_once(shell, life, caplog):
    """
    Further detections start nothing, are counted and logged; afterwards commands start again.
    """
    runner = shell(f"exec 3> {life.path}; echo $$ >&3; exec sleep 1000")
    for _ in range(MAX_RUNNING + 3):
        runner.detection(YES)
    pids = [int(life.line()) for _ in range(MAX_RUNNING)]
    n_running, dropped = runner.n_running, runner.dropped
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    rest = life.end()
    runner.close(timeout_s=60)
    runner.detection(YES)

    assert (n_running, dropped) == (MAX_RUNNING, 3)
    assert rest == ""
    assert runner.n_running == 1
    assert messages(caplog)[0] == "--exec: 8 commands still run; none started for yes at 1.70 s"


def test_a_command_that_cannot_start_is_logged(tmp_path, caplog):
    """
    An executable file that is no program costs a line, not the listening.
    """
    (tmp_path / "lamp").write_bytes(b"\x7fno program")
    (tmp_path / "lamp").chmod(0o700)
    runner = CommandRunner(str(tmp_path / "lamp"))
    runner.detection(YES)

    assert messages(caplog) == ["--exec for yes: lamp: Exec format error"]
    assert (runner.n_running, runner.dropped) == (0, 1)


def test_a_command_that_times_out_gets_sigterm_with_its_children(shell, life, clock, caplog):
    """
    After 30 s the whole group gets SIGTERM, logged once; not before.
    """
    runner = shell(f"exec 3> {life.path}; sleep 1000 & echo $$ >&3; wait")
    runner.detection(YES)
    pid = int(life.line())
    clock.now_s += 29.9
    runner.poll()
    early = messages(caplog)
    clock.now_s += 0.1
    runner.poll()
    runner.poll()
    life.end()
    clock.now_s += GRACE_S
    runner.poll()
    runner.close(timeout_s=60)

    assert early == []
    assert messages(caplog) == [
        f"--exec for yes: sh (process {pid}) has run for 30 s; sent SIGTERM"
    ]
    assert runner.n_running == 0


def test_a_command_that_ignores_sigterm_is_killed(shell, life, clock, caplog):
    """
    SIGKILL follows after two seconds, for the children too; both are logged once.
    """
    script = (
        "trap 'echo told >&3' TERM; trap 'echo alive >&3' USR1; "
        f"exec 3> {life.path}; echo $$ >&3; while :; do sleep 1000 & wait; done"
    )
    runner = shell(script, timeout_s=5)
    runner.detection(YES)
    pid = int(life.line())
    clock.now_s += 5
    runner.poll()
    assert life.line() == "told"
    clock.now_s += GRACE_S - 0.1
    runner.poll()
    os.kill(pid, signal.SIGUSR1)
    assert life.line() == "alive"
    told = messages(caplog)
    clock.now_s += 0.1
    runner.poll()
    rest = life.end()
    runner.close(timeout_s=60)

    assert rest == ""
    assert told == [f"--exec for yes: sh (process {pid}) has run for 5 s; sent SIGTERM"]
    assert messages(caplog) == [
        *told,
        f"--exec for yes: sh (process {pid}) did not end on SIGTERM; killed",
    ]
    assert runner.n_running == 0


def test_a_child_that_outlives_its_command_is_killed(shell, life, clock, caplog):
    """
    If it ignores the SIGTERM that ended the command.
    """
    runner = shell(
        f"exec 3> {life.path}; (trap '' TERM; echo up >&3; exec sleep 1000) & exec 3>&-; wait"
    )
    runner.detection(YES)
    assert life.line() == "up"
    clock.now_s += 30
    runner.poll()
    clock.now_s += GRACE_S
    runner.poll()
    life.end()
    runner.close(timeout_s=60)

    assert len(messages(caplog)) == 1
    assert "sent SIGTERM" in messages(caplog)[0]
    assert runner.n_running == 0


def test_background_children_of_a_command_keep_running(shell, life, clock, caplog):
    """
    A command that ended in time may leave a player running.
    """
    runner = shell(f"exec 3> {life.path}; sleep 1000 & echo $! >&3")
    runner.detection(YES)
    child = int(life.line())
    runner.close(timeout_s=60)
    clock.now_s += 1_000
    runner.poll()
    os.kill(child, signal.SIGKILL)  # raises if it is gone
    life.end()

    assert messages(caplog) == []


def test_close_leaves_a_running_command_and_logs_it_once(shell, life, caplog):
    """
    Listening ends without ending the command or waiting for it.
    """
    runner = shell(f"exec 3> {life.path}; echo $$ >&3; exec sleep 1000")
    runner.detection(YES)
    pid = int(life.line())
    runner.close(timeout_s=0)
    runner.close(timeout_s=0)
    os.kill(pid, signal.SIGKILL)  # raises if it is gone
    life.end()

    assert messages(caplog) == [f"--exec: sh still runs; left running: process {pid} for yes"]


def test_close_kills_a_command_that_timed_out(shell, life, clock, caplog):
    """
    It does not outlive the listening.
    """
    runner = shell(f"trap '' TERM; exec 3> {life.path}; echo $$ >&3; sleep 1000 & wait")
    runner.detection(YES)
    pid = int(life.line())
    clock.now_s += 30
    runner.poll()
    runner.close(timeout_s=60)
    life.end()

    assert messages(caplog) == [
        f"--exec for yes: sh (process {pid}) has run for 30 s; sent SIGTERM",
        f"--exec for yes: sh (process {pid}) did not end on SIGTERM; killed",
    ]
    assert runner.n_running == 0


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_time_out_must_be_positive(timeout_s):
    """
    Zero, negative and NaN are refused.
    """
    with pytest.raises(ConfigError, match="--exec-timeout: expected above 0, got"):
        CommandRunner("true", timeout_s=timeout_s)


def test_ctrl_c_at_the_terminal_does_not_reach_the_command(tmp_path, life):
    """
    An interrupt of the whole foreground group ends `kws-listen`, while its command goes on.
    """
    os.mkfifo(tmp_path / "go")
    script = f"exec 3> {life.path}; echo up >&3; read word < {tmp_path / 'go'}; echo $word >&3"
    command = [
        *(sys.executable, "-m", "kws", "--input", str(DEMO), "--realtime", "--keywords", "yes"),
        *("--exec", f"sh -c {shlex.quote(script)}"),
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=obey_interrupts,
    ) as process:
        assert life.line() == "up"
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(60)
        (tmp_path / "go").write_text("done\n")
        rest = life.end()

    assert code == 130
    assert rest == "done\n"
