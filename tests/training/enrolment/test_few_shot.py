"""`kws-eval few-shot`: trials are run and written."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the schema of TFLite")

from kws import models
from kws.decision.policy import DetectionPolicy
from training.cli.evaluate import main as evaluate
from training.enrolment.config import SUPPRESSION_MS
from training.enrolment.few_shot_study import n_firings


@pytest.mark.slow
def test_each_draw_is_a_row_of_the_table(spoken, tmp_path, capsys):
    """
    Two draws of three voices detect nearly all others.
    """
    speech = tmp_path / "speech"
    speech.mkdir()
    shutil.copy(models.FIRMWARE_MODELS / "demo.wav", speech)
    out = tmp_path / "study"
    study = ["few-shot", "computer", "--clips", str(spoken), "--speech", str(speech)]
    study += ["--counts", "3", "--copies", "20", "--voices", "0", "--out", str(out)]

    assert 0 == evaluate([*study, "--draws", "2"])

    with open(out / "trials.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [("computer", "3", "0"), ("computer", "3", "1")] == [
        (row["word"], row["n_recordings"], row["draw"]) for row in rows
    ]
    assert all(float(row["missed"]) <= 4 / 11 for row in rows)
    assert "| computer | 3 | 2 |" in capsys.readouterr().out
    assert "| computer | 3 | 2 |" in (out / "table.md").read_text()


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
