"""An epoch of a plain classification task: every clip once, augmented, the same after a resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training needs the extra [eval]")
from support.sound_trees import write_esc50

from kws.errors import ConfigError
from training.batches.augmentation import random_crop
from training.batches.epoch_sampler import EpochSampler
from training.batches.features import FeatureMaker
from training.batches.preview import draw_augmentation
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.datasets.clips import fit_length

PLAIN = {
    "time_shift_ms": 0,
    "speed_probability": 0.0,
    "gain_probability": 0.0,
    "reverb_probability": 0.0,
    "noise_probability": 0.0,
    "n_time_masks": 0,
    "n_mel_masks": 0,
}


def make_recipe(root: Path, **sections: Any) -> Recipe:
    """Return a recipe for windows of a second of the tree's classes."""
    table = {
        "name": "sounds",
        "data": {"clips": str(root), "rooms": ""},
        "source": {"kind": "csv", "split": "folds"},
        "fit": {"batch_size": 7},
    }
    return recipes.from_table({**table, **sections}, where="test")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Four classes, five folds, two clips of five seconds in each: 24 to train."""
    return write_esc50(tmp_path_factory.mktemp("esc") / "ESC-50")


def drawn(recipe: Recipe, epoch: int) -> list[tuple[bytes, int]]:
    """Return what an epoch draws."""
    drawer = EpochSampler(recipe, open_task(recipe).class_data())
    rng = np.random.default_rng((9, epoch))
    return [
        (samples.tobytes(), label)
        for step in range(drawer.n_steps)
        for samples, label in drawer.draw_batch(epoch, step, rng)
    ]


def test_an_epoch_holds_every_training_clip_once(tree):
    """
    With windows as long as the clips and nothing changed, an epoch is the training part itself.
    """
    recipe = make_recipe(tree, augmentation=PLAIN, model={"window_ms": 5_000, "window_frames": 498})
    data = open_task(recipe).class_data()
    expected = {
        fit_length(clip.read(), 80_000).tobytes(): data.labels.index(clip.label)
        for clip in data.clips("training")
    }

    got = drawn(recipe, epoch=0)

    assert 24 == len(got) == len(expected)
    assert expected == dict(got)


def test_the_order_is_new_in_each_epoch_and_fixed_by_the_seed(tree):
    """
    Epochs differ in their order; the same epoch of the same seed never does.
    """
    recipe = make_recipe(tree, augmentation=PLAIN)
    labels = [[label for _, label in drawn(recipe, epoch)] for epoch in (0, 1, 0)]
    other = [label for _, label in drawn(dataclasses.replace(recipe, seed=2), 0)]

    assert labels[0] == labels[2]
    assert labels[0] != labels[1]
    assert labels[0] != other


def test_a_batch_does_not_depend_on_those_before(tree):
    """
    Batch (3, 2) is the same whether an epoch was drawn before it or not: a run can be resumed.
    """
    recipe = open_task(make_recipe(tree), measure=True).recipe
    went_on, resumed = open_task(recipe).training_batches(), open_task(recipe).training_batches()
    for step in range(3):
        expected = went_on.make(3, step)

    for a, b in zip(expected, resumed.make(3, 2)):
        np.testing.assert_array_equal(a, b)


def test_batches_are_features_and_one_hot_labels(tree):
    """
    Full batches, then what is left: 24 clips in 7, 7, 7 and 3; further steps begin the next epoch.
    """
    recipe = open_task(make_recipe(tree), measure=True).recipe
    maker = open_task(recipe).training_batches()
    shapes = [maker.make(0, step)[0].shape for step in range(5)]

    assert [(n, 98, 40) for n in (7, 7, 7, 3, 7)] == shapes
    assert 4 == recipe.fit.steps_per_epoch
    features, targets = maker.make(0, 3)
    assert (3, 4) == targets.shape
    assert np.float32 == features.dtype


def test_longer_clips_are_cropped_at_random_places(rng):
    """
    A crop is a stretch of the clip, over time any; a short clip gets zeros behind it.
    """
    ramp = np.arange(1_000, dtype=np.int16)
    crops = [random_crop(ramp, 100, rng) for _ in range(300)]
    starts = [int(crop[0]) for crop in crops]

    assert all(np.array_equal(crop, ramp[crop[0] :][:100]) for crop in crops)
    assert min(starts) < 50
    assert max(starts) > 850
    np.testing.assert_array_equal(
        random_crop(ramp[:3] + np.int16(1), 5, rng), np.array([1, 2, 3, 0, 0])
    )


def test_a_shift_that_wraps_keeps_the_whole_sound(tree):
    """
    What leaves at one end comes in at the other: the same samples in another place.
    """
    shifted = {**PLAIN, "time_shift_ms": 1_000, "shift_wraps": True}
    model = {"window_ms": 5_000, "window_frames": 498}
    recipe = make_recipe(tree, augmentation=shifted, model=model)
    data = open_task(recipe).class_data()
    original = fit_length(data.clips("training")[0].read(), 80_000)

    moved = EpochSampler(recipe, data).draw(0, np.random.default_rng(1))

    assert not np.array_equal(original, moved)
    np.testing.assert_array_equal(np.sort(original), np.sort(moved))


def test_normalisation_is_of_the_training_part_alone(tree):
    """
    Mean and std are those of the training clips' features, by definition and by nothing else.
    """
    recipe = make_recipe(tree)
    maker = FeatureMaker(dataclasses.replace(recipe.frontend, mean=0.0, std=1.0))
    clips = open_task(recipe).class_data().clips("training")
    frames = np.concatenate([maker.frames(fit_length(clip.read(), 16_000)) for clip in clips])

    config = open_task(recipe, measure=True).recipe.frontend

    assert config.mean == pytest.approx(frames.mean(dtype=np.float64), rel=1e-4)
    assert config.std == pytest.approx(frames.std(dtype=np.float64), rel=1e-4)
    assert abs(config.mean) > 0.1
    other = make_recipe(
        tree, source={"kind": "csv", "split": "folds", "turn": 1, "normalisation_clips": 0}
    )
    assert (0.0, 1.0) == (
        open_task(other, measure=True).recipe.frontend.mean,
        open_task(other, measure=True).recipe.frontend.std,
    )


def test_a_resolved_recipe_resolves_to_itself(tree):
    """
    Labels, steps and normalisation, once filled in, are what a resumed run finds again.
    """
    recipe = open_task(make_recipe(tree), measure=True).recipe

    assert ("dog", "hen", "rain", "siren") == recipe.data.labels
    assert recipes.to_table(recipe) == recipes.to_table(open_task(recipe, measure=True).recipe)
    table = json.loads(json.dumps(recipes.to_table(recipe)))
    assert recipes.to_table(recipes.from_table(table, where="run")) == table


def test_missing_data_is_an_error(tmp_path):
    """
    A folder that is not there, and one without a path, are one clear error each.
    """
    with pytest.raises(ConfigError, match="none: expected a CSV"):
        open_task(make_recipe(tmp_path / "none"), measure=True)
    with pytest.raises(ConfigError, match=r"data\.clips: expected a folder or a file"):
        open_task(make_recipe(tmp_path, data={"clips": ""}), measure=True)


@pytest.mark.parametrize("kind", ["log_mel", "waveform"])
def test_show_draws_what_augmentation_does(tree, tmp_path, kind):
    """
    A picture comes out for features with bands (whole, cropped, masked) and for waveforms.
    """
    frames = 98 if kind == "log_mel" else 16_000
    recipe = make_recipe(tree, frontend={"kind": kind}, model={"window_frames": frames})

    draw_augmentation(recipe, tmp_path / "show.png")

    assert b"\x89PNG" == (tmp_path / "show.png").read_bytes()[:4]
