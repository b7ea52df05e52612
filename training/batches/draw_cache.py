"""Draw the clips of a recipe into a cache, in several processes."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kws.errors import ConfigError
from kws.files import write_atomically
from training.batches.clip_cache import (
    HEAD,
    LABELS,
    SAMPLES,
    SHARD_CLIPS,
    SOURCES,
    ClipCache,
    fill_shards,
    save_array,
)
from training.batches.keyword_sampler import KeywordSampler
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.datasets.clips import Clip
from training.datasets.folders import speaker_of


def draw_cache(
    recipe: Recipe,
    out: Path,
    *,
    n_clips: int,
    n_processes: int = 2,
    shard_clips: int = SHARD_CLIPS,
) -> Iterator[tuple[int, int]]:
    """Draw the clips of a recipe into the cache `out`; yield (shards done, shards in all).

    Shards that exist are kept, so that a repeated call continues, and asking for fewer clips than
    there are removes none. Each shard has a seed of its own: the cache does not depend on the
    number of processes.

    Raises
    ------
    ConfigError
        If a number is below 1, `out` holds a cache of another recipe, data are missing, or the
        recipe is a classification task.
    """
    for option, value in (("--clips", n_clips), ("--processes", n_processes)):
        if value < 1:
            raise ConfigError(f"{option}: expected at least 1, got {value}")
    task = open_task(recipe, measure=True)
    task.label_sampler()
    recipe = task.recipe
    n_shards = max(-(-n_clips // shard_clips), _n_drawn(out))
    cache = ClipCache(out, recipe, n_shards, shard_clips)
    table = {
        "recipe": recipes.to_table(recipe),
        "n_shards": n_shards,
        "shard_clips": shard_clips,
    }
    head = out / HEAD
    if head.is_file() and not _same_clips(json.loads(head.read_text(encoding="utf-8")), table):
        raise ConfigError(f"{out}: holds a cache of another recipe; name another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(head, json.dumps(table, indent=2))
    yield from fill_shards(
        cache, LABELS, _draw_shard, start=_start, arguments=(recipe,), n_processes=n_processes
    )


def _n_drawn(out: Path) -> int:
    """Return how many shards a cache must have to hold the last one in the folder."""
    shards = out.glob(f"[0-9]*.{LABELS}.npy")
    return max((int(path.name.split(".")[0]) + 1 for path in shards), default=0)


def _same_clips(there: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the shards that exist are part of the wanted cache.

    Clips depend on data and augmentation, not on network and training.
    """
    sections = ("seed", "data", "source", "words", "augmentation")
    return there["shard_clips"] == wanted["shard_clips"] and all(
        there["recipe"].get(key) == wanted["recipe"][key] for key in sections
    )


_sampler: KeywordSampler | None = None


def _start(recipe: Recipe) -> None:
    global _sampler
    threadpool_limits(1)
    os.nice(1)
    _sampler = open_task(recipe).label_sampler()


def _draw_shard(cache: ClipCache, shard: int, kind: str) -> None:
    assert _sampler is not None
    rng = np.random.default_rng((cache.recipe.seed, shard))
    samples, labels, clips = zip(*(_sampler.draw_with_clip(rng) for _ in range(cache.shard_clips)))
    save_array(cache.file(shard, SAMPLES), np.stack(samples))
    save_array(cache.file(shard, SOURCES), np.array([_source(clip) for clip in clips], np.int32))
    # The labels last: a shard that has them is complete.
    save_array(cache.file(shard, kind), np.array(labels, np.int16))


def _source(clip: Clip | None) -> int:
    """Return a hash of who speaks in a clip, at least 0; -1 for noise."""
    return -1 if clip is None else zlib.crc32(speaker_of(clip.path).encode()) >> 1
