"""The panel of `kws-listen --meter`: on its terminal alone, and never out of date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from support.listen_runs import DEMO, of_type, records

from kws import KeywordSpotter
from kws.audio.files import read_file
from kws.cli.meter import Meter


@pytest.fixture(scope="module")
def two_words(tmp_path_factory) -> str:
    """The first four seconds of the demo: yes, no."""
    path = tmp_path_factory.mktemp("words") / "two.wav"
    soundfile.write(path, np.concatenate(list(read_file(DEMO)))[: 4 * 16_000], 16_000)
    return str(path)


def run_on_terminal(*arguments: str, stdout: int | None = None) -> tuple[bytes, str]:
    """Return what `kws-listen` gives on a pipe (or None: the terminal), and what a terminal shows.

    Standard error is the terminal's.
    """
    ours, theirs = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 65_536):
                shown.append(part)
        except OSError:
            # The other side is closed.
            return

    with subprocess.Popen(
        [sys.executable, "-m", "kws", "--meter", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    ) as process:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        output = b"" if process.stdout is None else process.stdout.read()
        assert process.wait(60) == 0
        reader.join(60)
    os.close(ours)
    return output, b"".join(shown).decode()


def test_stdout_in_a_pipe_is_unaffected(two_words):
    """
    With the panel on the terminal, detections go to the pipe only.
    """
    output, shown = run_on_terminal("--input", two_words, "--json", stdout=subprocess.PIPE)

    assert 2 == len(of_type("detection", records(output.decode())))
    assert '"detection"' not in shown
    # It has hidden the cursor.
    assert "\x1b[?25l" in shown


def test_on_one_terminal_detections_and_panel_do_not_mix(two_words):
    """
    Each detection is a line of its own above the panel.
    """
    _, shown = run_on_terminal("--input", two_words)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "\n").split("\n")

    assert 2 == len(
        [line for line in lines if re.fullmatch(r" +\d+\.\d\d s  \w+ +[01]\.\d\d", line)]
    )


def shown(meter: Meter) -> list[list[str]]:
    """Return the cells of the panel, row by row."""
    columns = [list(column.cells) for column in meter._table(-96.0).columns]
    return [list(map(str, row)) for row in zip(*columns)]


def test_time_goes_on_while_the_gate_is_closed():
    """
    After half a minute of silence the panel shows the current time, and no old score.
    """
    spotter = KeywordSpotter.from_model("default", gate_db=-60)
    meter = Meter(
        spotter.manifest.labels,
        spotter.keywords,
        state=lambda: {"audio_s": spotter.time_s, "lost_samples": 0, "listening": True},
    )
    spotter.on_posterior = meter.show_scores
    demo = np.concatenate(list(read_file(DEMO)))[: 2 * spotter.sample_rate]
    highest = []
    for piece in (demo, np.zeros(30 * spotter.sample_rate, dtype=np.int16)):
        for at in range(0, len(piece), 1_600):
            spotter.process(piece[at : at + 1_600])
            meter.poll()
        rows = shown(meter)
        highest.append(max(float(row[2]) for row in rows[1:-2]))
    meter.close()

    assert highest[0] > 0.9
    assert highest[1] == 0.0
    assert rows[-2][0] == "32 s"


@pytest.mark.parametrize(("hop_s", "expected"), [(0.1, "0.00"), (2.0, "0.90")])
def test_a_score_stays_until_a_newer_one_is_due(hop_s, expected):
    """
    With scores every two seconds, one of 1.9 s ago is still the latest.
    """
    state = {"audio_s": 3.9, "lost_samples": 0, "listening": True}
    meter = Meter(["yes"], ["yes"], state=lambda: state, hop_s=hop_s)
    meter.show_scores(2.0, np.array([0.9], np.float32), None)
    meter.poll()
    rows = shown(meter)
    meter.close()

    assert rows[1][2] == expected


def test_a_missing_microphone_is_shown():
    """
    The last row shows lost samples and losses, and whether there is a microphone now.
    """
    state = {"audio_s": 7.0, "lost_samples": 5, "losses": 1, "listening": False}
    meter = Meter(["yes", "no"], ["yes", "no"], state=lambda: state)
    meter.poll()
    missing = shown(meter)[-1][1]
    state["listening"] = True
    meter.poll()
    meter.close()

    assert missing == "no microphone; 5 sample(s) lost, 1 loss(es) of the device"
    assert shown(meter)[-1][1] == "5 sample(s) lost, 1 loss(es) of the device"
