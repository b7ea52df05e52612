"""`kws-eval few-shot`: trials are run, kept and continued."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the schema of TFLite")

from kws import models
from kws.decision.policy import DetectionPolicy
from kws.errors import ConfigError
from training.cli.evaluate import main as evaluate
from training.enrolment.config import SUPPRESSION_MS, EnrolmentConfig
from training.enrolment.few_shot_study import Trial, n_firings, read_trials, write_study

TRIALS = [Trial("lamp", n, draw, 0.1 * draw, 0.5, 0.2) for n in (1, 3) for draw in (0, 1)]
ABOUT = {"backbone": "1234"}


def test_an_interrupted_study_is_continued(spoken, tmp_path, capsys):
    """
    A second call adds the missing draw. Three voices detect nearly all others.
    """
    speech = tmp_path / "speech"
    speech.mkdir()
    shutil.copy(models.FIRMWARE_MODELS / "demo.wav", speech)
    out = tmp_path / "study"
    study = ["few-shot", "computer", "--clips", str(spoken), "--speech", str(speech)]
    study += ["--counts", "3", "--copies", "20", "--voices", "0", "--out", str(out)]

    assert 0 == evaluate([*study, "--draws", "1"])
    first = (out / "trials.csv").read_text()
    assert 0 == evaluate([*study, "--draws", "2"])

    assert (out / "trials.csv").read_text().startswith(first)
    with open(out / "trials.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [("computer", "3", "0"), ("computer", "3", "1")] == [
        (row["word"], row["n_recordings"], row["draw"]) for row in rows
    ]
    assert all(float(row["missed"]) <= 4 / 11 for row in rows)
    assert "| computer | 3 | 2 |" in capsys.readouterr().out


@pytest.mark.parametrize("hop_s", [0.08, 0.1])
def test_a_study_counts_firings_as_the_policy_does(rng, hop_s):
    """Two peaks ten hops of 80 ms apart are two firings: the suppression of 0.8 s has ended."""
    peaks_apart = np.zeros(40, np.float32)
    peaks_apart[[3, 13, 20]] = 0.9
    pieces = [peaks_apart, *(rng.random((20, 200)) ** 8).astype(np.float32)]
    expected = []
    for scores in pieces:
        policy = DetectionPolicy(["word"], {"word": 0.5}, suppression_s=SUPPRESSION_MS / 1000)
        hops = enumerate(scores[:, None])
        expected.append(sum(policy.push(row, hop * hop_s) is not None for hop, row in hops))

    assert expected == [n_firings([one], 0.5, hop_s) for one in pieces]
    assert 2 == expected[0]


def test_trials_are_read_as_they_were_written(tmp_path):
    """
    The table of an interrupted study comes back.
    """
    assert [] == read_trials(tmp_path, ABOUT)
    write_study(tmp_path, TRIALS, EnrolmentConfig())

    assert read_trials(tmp_path, ABOUT) == TRIALS


def test_a_study_with_other_settings_is_refused(tmp_path):
    """
    Trials of another backbone are not mixed in.
    """
    read_trials(tmp_path, ABOUT)

    with pytest.raises(ConfigError, match=r"study\.json: this study has other settings"):
        read_trials(tmp_path, {"backbone": "5678"})


@pytest.mark.parametrize("line", ["lamp,3", "lamp,three,0,0.1,0.5,0.2"])
def test_a_damaged_line_is_reported(tmp_path, line):
    """
    One line names the file and the line.
    """
    read_trials(tmp_path, ABOUT)
    write_study(tmp_path, TRIALS[:2], EnrolmentConfig())
    with open(tmp_path / "trials.csv", "a") as handle:
        handle.write(line + "\n")

    with pytest.raises(ConfigError, match=r"trials\.csv: line 4: expected a trial"):
        read_trials(tmp_path, ABOUT)
