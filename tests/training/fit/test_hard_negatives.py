"""Hard negatives: false keywords of a trained run, for a second stage of training."""

from __future__ import annotations

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import soundfile

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_recipes import recipe_for

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.fit import trainer as fit
from training.fit.hard_negatives import find_hard_negatives

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Settings of [data] for two utterances, the first with the keyword from 2.0 to 2.5 s."""
    root = tmp_path_factory.mktemp("speech")
    (root / "talk").mkdir()
    rng = np.random.default_rng(5)
    for name, seconds in (("a", 5), ("b", 2)):
        samples = (rng.standard_normal(seconds * 16_000) * 3_000).astype(np.int16)
        soundfile.write(root / "talk" / f"{name}.wav", samples, 16_000)
    (root / "talk.words.csv").write_text(
        "utterance,word,start_sample,n_samples\n"
        "a,hello,1600,8000\na,yes,32000,8000\na,there,48000,8000\nb,hello,1600,16000\n"
    )
    return {"speech": str(root), "speech_split": "talk"}


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory, write_tree, speech):
    """A run of a single step."""
    clips = write_tree(
        tmp_path_factory.mktemp("data") / "clips",
        {word: {"training": 2, "validation": 1} for word in ("yes", "no", "cat")},
        noise_s=30,
    )
    out = tmp_path_factory.mktemp("runs") / "first"
    recipe = recipe_for(clips, data=speech, fit={"clips_per_epoch": 16})
    return fit.fit(recipe, out, verbose=0), clips


def test_every_window_without_the_keyword_is_scored(first_stage, tmp_path):
    """
    With a smallest posterior of 0 all windows are listed, ten a second, except near the keyword.
    """
    run, _ = first_stage

    n_found = find_hard_negatives(run, tmp_path / "hard.csv", least=0.0)

    with open(tmp_path / "hard.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    starts = [int(row["start_sample"]) for row in rows if row["file"] == "talk/a.wav"]
    assert n_found == len(rows)
    assert {"talk/a.wav", "talk/b.wav"} == {row["file"] for row in rows}
    assert set(np.diff(sorted(starts))) >= {1_600}
    # 50 ms on either side of the keyword are left out.
    assert all(start + 15_920 <= 31_200 or start >= 40_800 for start in starts)
    assert {"yes", "no"} >= {row["keyword"] for row in rows}


def test_keywords_inside_sentences_can_be_negatives(first_stage, tmp_path):
    """
    With `keywords_inside_speech` a window over the keyword counts too.
    """
    run, _ = first_stage
    recipe = run.read_recipe()
    inside = RunFolder(tmp_path / "inside")
    inside.start(
        dataclasses.replace(
            recipe, data=dataclasses.replace(recipe.data, keywords_inside_speech=True)
        )
    )
    shutil.copy(run.best, inside.best)

    find_hard_negatives(inside, tmp_path / "hard.csv", least=0.0)

    with open(tmp_path / "hard.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    starts = [int(row["start_sample"]) for row in rows if row["file"] == "talk/a.wav"]
    assert {1_600} == set(np.diff(sorted(starts)))
    assert any(start <= 32_000 and start + 15_920 >= 40_000 for start in starts)


def test_higher_least_finds_fewer(first_stage, tmp_path):
    """
    Nothing reaches a posterior above 1.
    """
    run, _ = first_stage

    assert 0 == find_hard_negatives(run, tmp_path / "hard.csv", least=1.01)


def test_the_second_stage_starts_from_the_first(first_stage, speech):
    """
    `start_from` loads the best weights; a missing run is an error before training.
    """
    run, clips = first_stage
    first = build_model(run.read_recipe())
    first.load_weights(run.best)
    second = recipe_for(clips, data=speech, fit={"start_from": str(run.path)})
    third = recipe_for(clips, data=speech, fit={"start_from": "nowhere"})

    model = fit.initial_model(second)

    for ours, theirs in zip(model.get_weights(), first.get_weights()):
        np.testing.assert_array_equal(theirs, ours)
    with pytest.raises(ConfigError, match="train that run first"):
        fit.initial_model(third)


def test_a_classification_run_is_refused(tmp_path):
    """
    Without keywords there are no false ones.
    """
    run = RunFolder(tmp_path / "run")
    recipe = recipes.from_table({"name": "bells", "source": {"kind": "folders"}}, where="test")
    run.start(recipe)

    with pytest.raises(ConfigError, match="expected a recipe with keywords"):
        find_hard_negatives(run, tmp_path / "hard.csv")

    assert not (tmp_path / "hard.csv").exists()
