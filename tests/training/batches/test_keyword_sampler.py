"""Training batches: of the model's shape, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")


from support.drawn_clips import make_batches, make_recipe

from training.batches.task import open_task


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


def test_further_folders_train_and_validate_too(root, write_tree, tmp_path):
    """
    Clips of `data.more_clips` are in the split that their own lists or names give them.
    """
    more = write_tree(tmp_path / "more", {"yes": {"training": 3, "validation": 1}}, noise_s=0)
    recipe = make_recipe(root, data={"more_clips": [str(more)]})
    one, both = open_task(make_recipe(root)), open_task(recipe)

    def count(task, split):
        clips = task.sources.by_word["yes"] if split == "training" else task.clips(split)
        return sum(clip.label == "yes" for clip in clips)

    assert 3 == count(both, "training") - count(one, "training")
    assert 1 == count(both, "validation") - count(one, "validation")
