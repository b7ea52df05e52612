"""`kws-listen` as a user meets it: real processes, real files, real pipes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kws import __version__, models
from kws.audio_file import read_file
from kws.cli.listen import main, parse_thresholds
from kws.errors import ConfigError

DEMO = models.FIRMWARE_MODELS / "demo.wav"
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def listen(*arguments, **options):
    """Run `python -m kws` and return the finished process."""
    command = [sys.executable, "-m", "kws", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def of_type(kind, found):
    return [record for record in found if record["type"] == kind]


def test_demo_words_are_heard_in_order_and_nothing_else(capsys):
    """
    The shipped model hears the ten words of the demo recording, each once.
    """
    truth = (models.FIRMWARE_MODELS / "demo.csv").read_text().splitlines()[1:]
    spoken = [line.split(",")[1] for line in truth]

    code = main(["--input", str(DEMO), "--json"])

    found = records(capsys.readouterr().out)
    heard = [record["keyword"] for record in of_type("detection", found)]
    assert 0 == code
    assert set(WORDS) == set(spoken)
    assert spoken == heard
    assert "listening" == of_type("status", found)[0]["event"]


def test_summary_counts_the_file_and_not_the_silence_after_it(capsys):
    """
    `audio_s` is the length of the file, although silence is fed after its end.
    """
    main(["--input", str(DEMO), "--json"])

    summary = records(capsys.readouterr().out)[-1]
    assert "summary" == summary["type"]
    assert summary["audio_s"] == pytest.approx(soundfile.info(DEMO).duration, abs=0.001)
    assert 0 == summary["lost_samples"]
    assert 10 == summary["detections"]


def test_raw_pcm_on_stdin_equals_the_file(capsys):
    """
    The same audio through a pipe gives the same detections, times and scores.
    """
    main(["--input", str(DEMO), "--json"])
    from_file = of_type("detection", records(capsys.readouterr().out))
    samples = np.concatenate(list(read_file(DEMO)))

    done = listen("--input", "-", "--json", input=samples.astype("<i2").tobytes())

    assert 0 == done.returncode
    assert from_file == of_type("detection", records(done.stdout.decode()))


def test_text_output_is_one_line_a_detection_and_summary_on_stderr(capsys):
    """
    stdout carries detections only; everything else goes to stderr.
    """
    main(["--input", str(DEMO)])

    output = capsys.readouterr()
    assert 10 == len(output.out.splitlines())
    assert "yes" in output.out
    assert "10 detection(s), 0 sample(s) lost" in output.err


def test_other_rates_and_channels_are_converted_and_said(tmp_path):
    """
    A 44.1 kHz stereo file is heard like the original, and stderr says that it was converted.
    """
    import soxr

    samples = np.concatenate(list(read_file(DEMO))).astype(np.float32) / 32_768
    stereo = np.repeat(soxr.resample(samples, 16_000, 44_100)[:, None], 2, axis=1)
    soundfile.write(tmp_path / "a.flac", stereo, 44_100)

    done = listen("--input", tmp_path / "a.flac", "--json")

    assert 10 == len(of_type("detection", records(done.stdout.decode())))
    assert b"converting 44100 Hz, 2 channel(s) to 16000 Hz mono" in done.stderr


def test_keywords_and_thresholds_narrow_what_fires(capsys):
    """
    Only the keywords named may fire, and a threshold of 1 silences one of them.
    """
    main(["--input", str(DEMO), "--json", "--keywords", "yes,stop", "--threshold", "stop=1"])

    heard = [record["keyword"] for record in of_type("detection", records(capsys.readouterr().out))]
    assert ["yes"] == heard


def test_exec_runs_without_a_shell_with_the_detection_in_its_environment(tmp_path):
    """
    `--exec` gets keyword, score and time in its environment; shell syntax means nothing.
    """
    script = tmp_path / "note.py"
    script.write_text(
        "import os, sys\n"
        f"with open({str(tmp_path / 'out')!r}, 'a') as out:\n"
        "    print(os.environ['KWS_KEYWORD'], os.environ['KWS_TIME_S'], sys.argv[1:], file=out)\n"
    )

    done = listen(
        "--input", DEMO, "--keywords", "yes", "--exec", f"{sys.executable} {script} $HOME; true"
    )

    assert 0 == done.returncode
    noted = (tmp_path / "out").read_text().split(maxsplit=2)
    assert "yes" == noted[0]
    assert float(done.stdout.split()[0]) == pytest.approx(float(noted[1]), abs=0.01)
    assert "['$HOME;', 'true']" == noted[2].strip()


def test_failing_command_is_logged_and_listening_goes_on():
    """
    A command that fails costs a line on stderr, not the detections after it.
    """
    done = listen("--input", DEMO, "--exec", "false")

    assert 10 == len(done.stdout.splitlines())
    assert b"ended with 1" in done.stderr


def test_interrupt_ends_with_the_summary():
    """
    Ctrl-C ends a running session with one summary line and exit code 130.
    """
    command = [sys.executable, "-m", "kws", "--input", str(DEMO), "--realtime", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        heard = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)

    assert "status" == first["type"]
    assert "detection" == heard["type"]
    assert "summary" == records(rest)[-1]["type"]
    assert 130 == process.returncode


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_byte, "expected sha256"),
        (no_model_but_right_hash, "expected a TFLite model"),
        (one_label_less, "says that the output is (1, 11), got (1, 12)"),
    ],
)
@pytest.mark.parametrize("mode", ["window", "stream"])
def test_broken_model_is_one_line(tmp_path, capsys, change, message, mode):
    """
    A model that its manifest does not describe is refused in one clear line, exit code 1.
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
    What is no whole audio file is one clear line that names it, exit code 1.
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


def test_version_and_help(capsys):
    """
    `--version` names the release; `--help` shows examples.
    """
    for flag in ("--version", "--help"):
        with pytest.raises(SystemExit) as stopped:
            main([flag])
        assert 0 == stopped.value.code

    output = capsys.readouterr().out
    assert __version__ in output
    assert "arecord -t raw" in output


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
def test_mixed_or_wild_thresholds_are_refused(given):
    """
    Both forms at once, two numbers, or a value out of range make no sense.
    """
    with pytest.raises(ConfigError, match="--threshold"):
        parse_thresholds(given)
