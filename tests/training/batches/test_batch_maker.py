"""The parts of all workers, laid one after another, are the batch that one worker would see."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("threadpoolctl", reason="training needs the extra [train]")


from training.batches.cached_batches import CachedBatches, open_cache
from training.batches.clip_cache import ClipCache, save_array
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.cluster import Cluster
from training.config.sections import AugmentationConfig, CacheConfig

ADDRESSES = ("a:1", "b:1", "c:1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of 40 made clips in three shards, with soft labels of two teachers."""
    path = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(3)
    recipe = recipes.from_table(
        {
            "name": "tiny",
            "data": {"keywords": ["yes", "no"]},
            "cache": {"path": str(path), "teacher_weight": 0.5},
            "augmentation": {"mixup_probability": 0.5},
            "fit": {"clips_per_epoch": 30, "batch_size": 10},
        },
        where="test",
    )
    made = ClipCache(path, recipe, 3, 16)
    for shard in range(3):
        samples = rng.normal(0, 900, (16, 16_000)).astype(np.int16)
        save_array(made.file(shard, "samples"), samples)
        save_array(made.file(shard, "labels"), rng.integers(0, 4, 16).astype(np.int16))
        for name in ("one", "two"):
            said = rng.dirichlet(np.ones(4), 16).astype(np.float16)
            save_array(made.file(shard, f"teacher-{name}"), said)
    table = {"recipe": recipes.to_table(recipe), "n_shards": 3, "shard_clips": 16}
    (path / "cache.json").write_text(json.dumps(table), encoding="utf-8")
    return recipe


@pytest.mark.parametrize("mixup_probability", [0.0, 0.5])
@pytest.mark.parametrize("n_workers", [2, 3])
def test_parts_of_a_cache_are_the_whole_batch(cache, n_workers, mixup_probability):
    """
    Gain, masks, mixup and soft labels are as for the whole batch.
    """
    augmentation = dataclasses.replace(cache.augmentation, mixup_probability=mixup_probability)
    recipe = dataclasses.replace(cache, augmentation=augmentation)
    whole = open_task(recipe).training_batches()
    parts = [
        open_task(recipe).training_batches(Cluster(ADDRESSES[:n_workers], n))
        for n in range(n_workers)
    ]

    for epoch, step in ((0, 0), (0, 2), (3, 1)):
        made = [part.make(epoch, step) for part in parts]
        for expected, got in zip(whole.make(epoch, step), zip(*made)):
            assert all(len(part) < len(expected) for part in got)
            np.testing.assert_allclose(np.concatenate(got), expected, rtol=1e-6, atol=1e-6)


def test_a_worker_reads_only_the_clips_it_needs(cache):
    """
    Without mixup each of three workers reads its third of a batch, and no clip is read twice.
    """

    class Noting(CachedBatches):
        def _clip(self, index, gain):
            self.read.append(index)
            return super()._clip(index, gain)

    recipe = dataclasses.replace(cache, augmentation=AugmentationConfig())
    read = []
    for n in range(3):
        part = Noting(recipe, open_cache(recipe), Cluster(ADDRESSES, n))
        part.read = []
        part.make(0, 0)
        read.append(part.read)

    assert [3, 3, 4] == [len(clips) for clips in read]
    assert sorted(index for clips in read for index in clips) == sorted(
        open_task(recipe).training_batches()._chosen(0, 0).tolist()
    )


def test_parts_of_drawn_batches_are_the_whole_batch(cache, write_tree, tmp_path):
    """
    Without a cache every worker draws the batch and keeps its rows.
    """
    counts = {word: {"training": 3, "validation": 1} for word in ("yes", "no", "cat")}
    root = write_tree(tmp_path / "clips", counts, noise_s=5)
    data = {"clips": str(root), "speech": "", "environment": "", "rooms": ""}
    recipe = dataclasses.replace(
        cache, cache=CacheConfig(), data=dataclasses.replace(cache.data, **data)
    )
    expected = open_task(recipe).training_batches().make(0, 1)
    made = [open_task(recipe).training_batches(Cluster(ADDRESSES, n)).make(0, 1) for n in range(3)]

    for whole, got in zip(expected, zip(*made)):
        np.testing.assert_array_equal(np.concatenate(got), whole)
