"""Negatives made from folders of audio."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")

from kws.errors import ConfigError
from training.cli.train import main as train
from training.embedding.negatives import Negatives
from training.enrolment.make_negatives import add_user_folders, coarse


def test_each_file_is_a_group_of_its_own(embedder, negatives, tmp_path, rng):
    """Numbered files count as different speakers, and all audio as running speech."""
    for index in range(3):
        samples = rng.normal(0, 500, 32_000).astype(np.int16)
        soundfile.write(tmp_path / f"radio_{index}.wav", samples, 16_000)

    joined = add_user_folders(negatives, embedder, [tmp_path])

    added = joined.groups[len(negatives.groups) :]
    assert 3 == len(np.unique(added))
    assert added.min() > negatives.groups.max()
    assert len(joined) > len(negatives)
    more_s = 3600 * (joined.speech_hours(embedder.hop_s) - negatives.speech_hours(embedder.hop_s))
    assert pytest.approx(3 * 0.96, abs=0.3) == more_s


def test_audio_shorter_than_a_window_is_one_clear_error(embedder, negatives, tmp_path, rng):
    """A folder without a whole window is an error."""
    samples = rng.normal(0, 500, 8_000).astype(np.int16)
    soundfile.write(tmp_path / "short.wav", samples, 16_000)

    with pytest.raises(ConfigError, match=r"expected audio of at least 1\.1 s"):
        add_user_folders(negatives, embedder, [tmp_path])


def test_coarse_steps_are_near_and_few(rng):
    """Rounding moves a step by half a unit at most."""
    steps = np.clip(rng.normal(0, 24, (2_000, 24)), -128, 127).astype(np.int8)

    made = coarse(steps)

    assert np.int8 == made.dtype
    assert np.abs(made.astype(int) - steps).max() <= 13
    assert len(np.unique(made)) < 16


def test_the_command_writes_negatives_beside_a_backbone(embedder, tmp_path, rng, capsys):
    """`kws-train backbone FILE.json --speech DIR` keeps the requested number of windows."""
    shipped = embedder.description
    for name in (shipped.file, shipped.path.name):
        shutil.copy(shipped.path.parent / name, tmp_path)
    speech = tmp_path / "speech"
    speech.mkdir()
    soundfile.write(speech / "1-2.wav", rng.normal(0, 500, 96_000).astype(np.int16), 16_000)
    path = tmp_path / shipped.path.name

    assert 1 == train(["backbone", str(path)])
    assert "--speech: expected at least one folder" in capsys.readouterr().err
    assert 0 == train(["backbone", str(path), "--speech", str(speech), "--speech-windows", "40"])

    made = Negatives.read(tmp_path / shipped.negatives, backbone=shipped.sha256)
    assert 40 <= len(made)
    assert {"speech: speech"} == set(made.about["sources"])


@pytest.mark.parametrize("old", ["negatives", "few-shot"])
def test_old_commands_name_the_new_ones(old, capsys):
    """One line and exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        train([old, "x"])

    assert "replaced by" in capsys.readouterr().err
