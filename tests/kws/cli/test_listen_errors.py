"""What `kws-listen` cannot use, a model, an input or an option, costs one clear line."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from support.listen_runs import DEMO, listen

from kws import models
from kws.cli.listen import main, parse_thresholds
from kws.errors import ConfigError


def broken_model(tmp_path, change, mode):
    """Copy the default model and let `change` damage manifest or file of one form."""
    for suffix in (".json", ".tflite", ".stream.tflite"):
        shutil.copy(models.FIRMWARE_MODELS / f"default{suffix}", tmp_path)
    table = json.loads((tmp_path / "default.json").read_text())
    change(table, table[mode], tmp_path / table[mode]["file"])
    (tmp_path / "default.json").write_text(json.dumps(table))
    return tmp_path / "default.json"


def flip_a_byte(table, form, path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def no_model_but_right_hash(table, form, path):
    path.write_bytes(b"this is not a model at all")
    form["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()


def one_label_less(table, form, path):
    table["labels"] = [label for label in table["labels"] if label != "_silence_"]
    table["decision"]["context_weights"] = {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_byte, "expected sha256"),
        (no_model_but_right_hash, "expected a TFLite model"),
        (one_label_less, "expected the output (1, 11) of"),
    ],
)
@pytest.mark.parametrize("mode", ["window", "stream"])
def test_a_broken_model_is_one_line(tmp_path, capsys, change, message, mode):
    """
    A model that does not match its manifest is refused in one clear line, exit code 1.
    """
    path = broken_model(tmp_path, change, mode)

    code = main(["--model", str(path), "--mode", mode, "--input", str(DEMO)])

    error = capsys.readouterr().err
    assert 1 == code
    assert message in error
    assert 1 == len(error.splitlines())


def truncated(path):
    content = DEMO.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("cut.wav", truncated, "the file is cut off"),
        ("empty.wav", Path.touch, "got an empty one"),
        ("folder", Path.mkdir, "got a folder"),
        ("text.wav", lambda path: path.write_text("hello"), "expected WAV, FLAC, OGG"),
        ("none.wav", lambda path: None, "found nothing there"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, name, make, message):
    """
    A file that is not complete audio is one clear line that names it, exit code 1.
    """
    make(tmp_path / name)

    code = main(["--input", str(tmp_path / name)])

    error = capsys.readouterr().err
    assert 1 == code
    assert message in error
    assert str(tmp_path / name) in error
    assert 1 == len(error.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "maybe=0.5"], "keyword 'maybe'"),
        (["--threshold", "yes=7"], "--threshold yes=7"),
        (["--keywords", "banana"], "keyword 'banana'"),
        (["--hop-ms", "33"], "multiple of 10, got 33"),
        (["--model", "nothing"], "model 'nothing': expected one of default"),
        (["--mode", "stream", "--hop-ms", "50"], "every 100 ms or a multiple of it, got 50 ms"),
        (["--exec", "no-such-program-here"], "expected a program"),
    ],
)
def test_wrong_options_are_one_line(capsys, arguments, message):
    """
    A wrong value is one clear line that names the choices, exit code 1.
    """
    code = main(["--input", str(DEMO), *arguments])

    error = capsys.readouterr().err
    assert 1 == code
    assert message in error
    assert 1 == len(error.splitlines())


def test_unknown_flag_is_a_usage_error(capsys):
    """
    argparse's own errors exit with 2.
    """
    with pytest.raises(SystemExit) as stopped:
        main(["--no-such-flag"])

    assert 2 == stopped.value.code
    assert "--no-such-flag" in capsys.readouterr().err


def test_missing_portaudio_names_the_package(tmp_path):
    """
    Where sounddevice cannot find PortAudio, the error names the apt package.
    """
    # A stand-in for a machine without the library: the import fails as sounddevice's own does.
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}

    done = listen("--list-devices", env=environment)

    assert 1 == done.returncode
    assert b"apt install libportaudio2" in done.stderr
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        (["0.7"], 0.7),
        (["yes=0.7", "no=0.9"], {"yes": 0.7, "no": 0.9}),
    ],
)
def test_thresholds_parse(given, expected):
    """
    One number is for all keywords, KEYWORD=NUMBER for some.
    """
    assert expected == parse_thresholds(given)


@pytest.mark.parametrize("given", [["0.7", "yes=0.9"], ["0.7", "0.8"], ["x"], ["yes=0"]])
def test_mixed_or_invalid_thresholds_are_refused(given):
    """
    Both forms at once, two numbers, or a value out of range.
    """
    with pytest.raises(ConfigError, match="--threshold"):
        parse_thresholds(given)


def test_a_file_without_its_option_is_answered_with_the_option(capsys):
    """
    `kws-listen demo.wav` is a likely first try.
    """
    with pytest.raises(SystemExit):
        main([str(DEMO)])

    assert capsys.readouterr().err.endswith(f"to read a file: --input {DEMO}\n")
