"""Training batches: of the model's shape, the same for the same seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")


from support.drawn_clips import make_batches, make_recipe

from training.batches.features import FeatureMaker
from training.datasets.clips import Clip


def test_the_same_epoch_and_step_give_the_same_batch(root):
    """
    A batch depends on seed, epoch and step alone: not on what was made before it.
    """
    recipe = make_recipe(root)
    maker = make_batches(recipe)
    features, targets = maker.make(3, 7)
    maker.make(3, 8)
    again = maker.make(3, 7)
    fresh = make_batches(recipe).make(3, 7)

    for other in (again, fresh):
        np.testing.assert_array_equal(other[0], features)
        np.testing.assert_array_equal(other[1], targets)


def test_every_other_batch_is_another(root):
    """
    Epoch, step and seed each change what is drawn.
    """
    recipe = make_recipe(root)
    maker = make_batches(recipe)
    batches = [maker.make(*place)[0] for place in ((0, 0), (0, 1), (1, 0), (1, 1))]
    batches.append(make_batches(dataclasses.replace(recipe, seed=2)).make(0, 0)[0])

    assert len({batch.tobytes() for batch in batches}) == 5


def test_batches_have_the_models_shape(root):
    """
    Normalised log-mel of a window's frames, one-hot targets in the order of the labels.
    """
    recipe = make_recipe(root, model={"window_frames": 90})
    features, targets = make_batches(recipe).make(0, 0)

    assert features.shape == (16, 90, 40)
    assert targets.shape == (16, 4)
    assert features.dtype == targets.dtype == np.float32
    assert np.isfinite(features).all()
    assert sorted(np.unique(targets)) == [0, 1]
    assert (targets.sum(axis=1) == 1).all()


def test_mixup_makes_soft_targets(root):
    """
    With mixup a target may be shared by two labels, and still sums to 1.
    """
    recipe = make_recipe(root, augmentation={"mixup_probability": 1.0, "mixup_alpha": 1.0})
    _, targets = make_batches(recipe).make(0, 0)

    assert ((targets > 0).sum(axis=1) == 2).any()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)


def test_augmented_draws_are_all_different(root):
    """
    With augmentation no two draws of a clip are the same, and the clips in memory stay unharmed.
    """
    recipe = make_recipe(root, data={"silence_weight": 0.0})
    before = make_batches(recipe).make(0, 0)[0]
    maker = make_batches(recipe)
    drawn = np.concatenate([maker.make(0, step)[0] for step in range(1, 6)])

    assert len({row.tobytes() for row in drawn}) == len(drawn)
    np.testing.assert_array_equal(maker.make(0, 0)[0], before)


def test_normalised_features_have_the_recipes_mean_and_std(root):
    """
    (log_mel - mean) / std, clip by clip.
    """
    frontend = make_recipe(root, frontend={"mean": -4.0, "std": 2.0}).frontend
    plain = dataclasses.replace(frontend, mean=0.0, std=1.0)
    samples = np.stack([clip.read() for clip in (Clip(p, "") for p in sorted(root.glob("yes/*")))])

    expected = (FeatureMaker(plain).windows(samples) + 4) / 2

    np.testing.assert_allclose(FeatureMaker(frontend).windows(samples), expected, atol=1e-5)
