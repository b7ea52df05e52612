"""Mining: the second stage learns from what the first one gets wrong."""

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
from training.fit import hard_negatives as mine
from training.fit import trainer as fit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Settings of [data] for running speech of two utterances.

    The keyword is said from 2.0 s to 2.5 s of the first.
    """
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


def test_every_window_without_the_keyword_is_judged(first_stage, tmp_path):
    """
    With a least posterior of 0 all windows come, ten a second, none that touches the keyword.
    """
    run, _ = first_stage

    n_found = mine.mine(run, tmp_path / "hard.csv", least=0.0)

    with open(tmp_path / "hard.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    starts = [int(row["start_sample"]) for row in rows if row["file"] == "talk/a.wav"]
    assert n_found == len(rows)
    assert {"talk/a.wav", "talk/b.wav"} == {row["file"] for row in rows}
    assert set(np.diff(sorted(starts))) >= {1_600}
    # 50 ms round the keyword are kept clear.
    assert all(start + 15_920 <= 31_200 or start >= 40_800 for start in starts)
    assert {"yes", "no"} >= {row["keyword"] for row in rows}


def test_keywords_inside_speech_are_judged_too(first_stage, tmp_path):
    """
    With `keywords_inside_speech` a window over the keyword counts: inside a sentence it is none.
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

    mine.mine(inside, tmp_path / "hard.csv", least=0.0)

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

    assert 0 == mine.mine(run, tmp_path / "hard.csv", least=1.01)


def test_second_stage_begins_with_the_first_ones_weights(first_stage, speech, tmp_path):
    """
    `start_from` loads the kept weights; a run that is not there is told before training.
    """
    run, clips = first_stage
    first = build_model(run.read_recipe())
    first.load_weights(run.best)
    second = recipe_for(clips, data=speech, fit={"start_from": str(run.path)})
    third = recipe_for(clips, data=speech, fit={"start_from": "nowhere"})

    model, epoch = fit._model(second, RunFolder(tmp_path / "second"))

    assert 0 == epoch
    for ours, theirs in zip(model.get_weights(), first.get_weights()):
        np.testing.assert_array_equal(theirs, ours)
    with pytest.raises(ConfigError, match="train that run first"):
        fit._model(third, RunFolder(tmp_path / "third"))


def test_a_run_of_plain_classes_is_refused(tmp_path):
    """
    Without keywords there is nothing to mine, and no weights are asked for.
    """
    run = RunFolder(tmp_path / "run")
    recipe = recipes.from_table({"name": "bells", "source": {"kind": "folders"}}, where="test")
    run.start(recipe)

    with pytest.raises(ConfigError, match="expected a run with keywords"):
        mine.mine(run, tmp_path / "hard.csv")

    assert not (tmp_path / "hard.csv").exists()
