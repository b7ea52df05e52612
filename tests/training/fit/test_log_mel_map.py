"""The way from pictures of another front end to log-mel, learned from clips that have both."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_recipes import recipe_for

from training.batches.feature_clips import CLIPS, FEATURES
from training.batches.features import FeatureMaker
from training.cli import train
from training.datasets.folders import split_of
from training.fit import log_mel_map
from training.fit.log_mel_map import REPORT, write_feature_clips

N_CLIPS, N_WITH_AUDIO = 160, 140

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Bursts of noise, as coarse pictures of half of the log-mel; a few have no audio."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(3)
    maker = FeatureMaker(recipe_for(folder).frontend)
    levels, names = [], []
    (folder / "audio" / "yes").mkdir(parents=True)
    for number in range(N_CLIPS):
        loud = np.interp(np.arange(16_000), np.sort(rng.integers(16_000, size=6)), rng.random(6))
        samples = (rng.normal(0, 3_000, 16_000) * loud**3).astype(np.int16)
        name = f"{number:x}_nohash_0"
        if number < N_WITH_AUDIO:
            soundfile.write(folder / "audio" / "yes" / f"{name}.wav", samples, 16_000)
        levels.append(np.clip(100 + 25 * maker.frames(samples)[:98], 0, 255).astype(np.uint8))
        names.append(name)
    words = np.full(N_CLIPS, "yes")
    np.savez(folder / "pictures.npz", x=np.stack(levels), word=words, clip=np.array(names))
    return folder


@pytest.fixture
def few_epochs(monkeypatch):
    """A small network, trained in seconds."""
    for name, value in {"EPOCHS": 6, "BATCH_SIZE": 4, "N_FILTERS": 32, "MIN_PAIRS": 5}.items():
        monkeypatch.setattr(log_mel_map, name, value)


def test_pictures_become_features_with_the_statistics_of_real_ones(pairs, tmp_path, few_epochs):
    """
    What is drawn varies as real features do, and more than means; no clip of testing is written.
    """
    recipe = recipe_for(pairs)
    steps = list(
        write_feature_clips(recipe, pairs / "pictures.npz", pairs / "audio", tmp_path / "out")
    )
    features = np.load(tmp_path / "out" / FEATURES)
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    with open(tmp_path / "out" / CLIPS, newline="") as handle:
        rows = list(csv.DictReader(handle))

    assert [(done, 6) for done in range(7)] == steps
    assert (len(rows), 98, 40) == features.shape
    assert {"training", "validation"} == {row["split"] for row in rows}
    assert all(row["split"] == split_of(row["clip"]) for row in rows)
    assert report["correlation"] > 0.8
    assert report["drawn"]["std_between_frames"] > report["means"]["std_between_frames"]
    real, drawn = (np.mean(report[key]["std_by_band"]) for key in ("real", "drawn"))
    assert abs(drawn / real - 1) < 0.2
    assert features.min() >= np.float16(np.log(recipe.frontend.log_floor))


def test_a_map_continues_where_it_stopped(pairs, tmp_path, few_epochs):
    """
    A run that is stopped after an epoch writes what one without a stop writes.
    """
    arguments = (recipe_for(pairs), pairs / "pictures.npz", pairs / "audio")
    list(write_feature_clips(*arguments, tmp_path / "whole"))
    stopped = write_feature_clips(*arguments, tmp_path / "stopped")
    assert [(0, 6), (1, 6)] == [next(stopped), next(stopped)]
    stopped.close()

    steps = list(write_feature_clips(*arguments, tmp_path / "stopped"))
    whole, continued = (np.load(tmp_path / name / FEATURES) for name in ("whole", "stopped"))

    assert (1, 6) == steps[0]
    np.testing.assert_allclose(continued.astype(float), whole.astype(float), atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--pictures", "none.npz"], "none.npz: expected a .npz file"),
        (["--audio", "none"], "none: expected WORD/CLIP.wav"),
        (["--set", "model.window_frames=50"], "expected 50 frames"),
    ],
)
def test_what_cannot_be_mapped_is_one_line(pairs, tmp_path, capsys, few_epochs, change, message):
    """
    Missing pictures, missing audio and another window are named; no features are written.
    """
    out = tmp_path / "out"
    paths = ["--pictures", str(pairs / "pictures.npz"), "--audio", str(pairs / "audio")]

    assert 1 == train.main(["feature-clips", "simple", *paths, *change, "--out", str(out)])
    assert message in capsys.readouterr().err
    assert not (out / FEATURES).exists()
