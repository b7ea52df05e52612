"""examples/lamp.py on mock pins, lamp.sh behind --exec; and what all examples have in common."""

from __future__ import annotations

import stat
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from support.example_runs import (
    DEMO,
    ENVIRONMENT,
    EXAMPLES,
    ROOT,
    fake_programs,
    interrupt_after_a_line,
    load,
    run,
)

from kws.audio.files import read_file


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_each_example_can_be_started(path):
    """
    It is executable, and --help prints its usage.
    """
    done = subprocess.run(
        [sys.executable, str(path), "--help"] if path.suffix == ".py" else [str(path), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert path.stat().st_mode & stat.S_IXOTH
    assert 0 == done.returncode
    assert done.stdout.startswith("usage:")
    assert "" == done.stderr


def test_the_lamp_follows_on_and_off(monkeypatch, capsys):
    """
    On gpiozero's mock pins, the demo recording puts the lamp on once and out again.
    """
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    gpiozero = pytest.importorskip("gpiozero")
    mock = pytest.importorskip("gpiozero.pins.mock")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", mock.MockFactory())
    pin = gpiozero.Device.pin_factory.pin(27)
    monkeypatch.setattr(sys, "argv", ["lamp.py", "--pin", "27", "--input", str(DEMO)])

    code = load("lamp").main()

    assert 0 == code
    # Out when the pin is taken, then as the words say.
    assert [False, True, False] == [bool(state.state) for state in pin.states]
    assert ["lamp on", "lamp off"] == [
        line.split("s  ")[1] for line in capsys.readouterr().out.splitlines()
    ]


def test_the_lamp_ends_with_its_pin_released(tmp_path):
    """
    Ctrl-C ends the lamp with 130 and without a traceback.
    """
    pytest.importorskip("gpiozero")
    demo = np.concatenate(list(read_file(DEMO)))
    # Twenty minutes: far more than is worked through before the signal comes.
    soundfile.write(tmp_path / "long.wav", np.tile(demo, 60), 16_000)
    command = [sys.executable, str(EXAMPLES / "lamp.py"), "--input", str(tmp_path / "long.wav")]

    first, errors, code = interrupt_after_a_line(command, "")

    assert "lamp on" in first
    assert ("", 130) == (errors, code)


def test_the_lamp_reports_errors_in_one_line(tmp_path):
    """
    A wrong file, or a machine without GPIO: exit code 1.
    """
    pytest.importorskip("gpiozero")
    wrong = run("lamp.py", "--input", tmp_path / "none.wav")
    lacking = run(
        "lamp.py",
        *("--input", DEMO),
        env={**ENVIRONMENT, "GPIOZERO_PIN_FACTORY": "none", "PYTHONWARNINGS": "ignore"},
    )

    assert (1, 1) == (wrong.returncode, lacking.returncode)
    assert "none.wav" in wrong.stderr
    assert [1, 1] == [len(done.stderr.splitlines()) for done in (wrong, lacking)]


def test_the_lamp_script_is_run_at_each_word(tmp_path):
    """
    `--exec` with lamp.sh sets the pin according to the words; other words do not reach it.
    """
    environment, record = fake_programs(tmp_path, "pinctrl")
    command = [sys.executable, "-m", "kws", "--input", str(DEMO), "--keywords", "on,off"]

    done = subprocess.run(
        [*command, "--exec", str(EXAMPLES / "lamp.sh")],
        cwd=ROOT,
        env={**environment, "LAMP_PIN": "27"},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode
    # Both are started within the same instant of a file, so either may write first.
    assert ["pinctrl set 27 op dh", "pinctrl set 27 op dl"] == sorted(
        record.read_text().splitlines()
    )


@pytest.mark.parametrize(("keyword", "level"), [("on", "dh"), ("off", "dl")])
def test_the_lamp_script_sets_the_level(tmp_path, keyword, level):
    """
    "on" drives the pin high, "off" low.
    """
    environment, record = fake_programs(tmp_path, "pinctrl")

    command = [str(EXAMPLES / "lamp.sh")]
    subprocess.run(command, env={**environment, "KWS_KEYWORD": keyword}, timeout=60, check=True)

    assert f"pinctrl set 17 op {level}\n" == record.read_text()


def test_the_lamp_script_refuses_other_words(tmp_path):
    """
    Any other word is an error, and the pin does not change.
    """
    environment, record = fake_programs(tmp_path, "pinctrl")

    done = subprocess.run(
        [str(EXAMPLES / "lamp.sh")],
        env={**environment, "KWS_KEYWORD": "left"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 2 == done.returncode
    assert "expected on or off, got 'left'" in done.stderr
    assert "" == record.read_text()
