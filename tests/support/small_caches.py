"""Caches of a few synthetic clips, which `tests/training/conftest.py` draws for each test file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from support.small_recipes import recipe_for
from training.batches.clip_cache import ClipCache, save_array
from training.batches.draw_cache import draw_cache
from training.config.recipe import Recipe

N_CLIPS = 48
"""Clips of a cache, in three shards."""


def cache_recipe(clips: Path, **sections: Any) -> Recipe:
    """Return the recipe of a cache, whose passes give its clips just as they are."""
    unchanged = {"gain_probability": 0.0, "n_time_masks": 0, "n_mel_masks": 0}
    return recipe_for(clips, augmentation=unchanged, **sections)


def draw_small_cache(recipe: Recipe, out: Path, *, n_clips: int = N_CLIPS) -> list[tuple[int, int]]:
    """Draw a cache, or what it lacks; return (shards done, shards in all) of each step."""
    return list(draw_cache(recipe, out, n_clips=n_clips, shard_clips=16))


def parts_of(cache: ClipCache, kind: str) -> list[np.ndarray]:
    """Return the array of each shard."""
    return [np.load(cache.file(shard, kind)) for shard in range(cache.n_shards)]


def write_slowly(cache: ClipCache, shard: int, kind: str) -> None:
    """Write the first shard at once, and no other one within the time of a test."""
    if shard > 0:
        time.sleep(600)
    save_array(cache.file(shard, kind), np.zeros(cache.shard_clips, np.int16))


def nothing() -> None:
    """Start a process that needs nothing."""
