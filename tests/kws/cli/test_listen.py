"""`kws-listen` as a user meets it: real processes, real files, real pipes."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from support.listen_runs import DEMO, listen, obey_interrupts, of_type, records

from kws import __version__, models
from kws.audio.files import read_file
from kws.cli.listen import main

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def test_the_demo_words_are_detected_in_order(capsys):
    """
    The shipped model detects the ten words of the demo recording, each once.
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


def test_the_summary_does_not_count_the_silence_after_a_file(capsys):
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


def test_the_default_hop_is_that_of_the_streaming_model(capsys, eight_frame_model):
    """
    Without --hop-ms a model of 80 ms detects the same as its non-streaming form every 80 ms.
    """
    options = ["--input", str(DEMO), "--json", "--kernels", "reference"]
    options += ["--model", str(eight_frame_model)]
    found = []
    for more in (["--mode", "window", "--hop-ms", "80"], ["--mode", "auto"], ["--mode", "stream"]):
        assert 0 == main([*options, *more])
        found.append(of_type("detection", records(capsys.readouterr().out)))

    assert len(found[0]) >= 9
    assert found[0] == found[1] == found[2]


def test_text_output_is_one_line_a_detection_and_summary_on_stderr(capsys):
    """
    stdout carries detections only; everything else goes to stderr.
    """
    main(["--input", str(DEMO)])

    output = capsys.readouterr()
    assert 10 == len(output.out.splitlines())
    assert "yes" in output.out
    assert "10 detection(s), 0 sample(s) lost" in output.err


def test_other_rates_and_channels_are_converted(tmp_path):
    """
    A 44.1 kHz stereo file gives the same words, and stderr mentions the conversion.
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
    Only the given keywords may fire, and a threshold of 1 silences one of them.
    """
    main(["--input", str(DEMO), "--json", "--keywords", "yes,stop", "--threshold", "stop=1"])

    heard = [record["keyword"] for record in of_type("detection", records(capsys.readouterr().out))]
    assert ["yes"] == heard


def test_exec_runs_without_a_shell_with_the_detection_in_its_environment(tmp_path):
    """
    `--exec` gets keyword, score and time in its environment; shell syntax has no meaning.
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", [[str(DEMO), "--realtime"], ["-"]], ids=["file", "pipe"])
def test_a_signal_ends_with_the_summary(source, number):
    """
    Ctrl-C and SIGTERM end it with one summary line and exit code 130, also at a silent pipe.
    """
    command = [sys.executable, "-m", "kws", "--json", "--input", *source]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=obey_interrupts,
    ) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(number)
        # Not closed before the end: the pipe stays silent.
        rest = process.stdout.read()
        errors = process.stderr.read()
        code = process.wait(20)

    assert "listening" == first["event"]
    assert "summary" == records(rest)[-1]["type"]
    assert "" == errors
    assert 130 == code


def test_an_interrupt_during_the_imports_is_silent(tmp_path):
    """
    Ctrl-C while the program loads ends it with exit code 130 and no traceback.
    """
    (tmp_path / "numpy.py").write_text("import signal; signal.raise_signal(signal.SIGINT)\n")

    done = listen(
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        preexec_fn=obey_interrupts,
    )

    assert (130, b"", b"") == (done.returncode, done.stdout, done.stderr)


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
