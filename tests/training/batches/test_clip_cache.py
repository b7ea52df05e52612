"""The cache of clips: drawn once, resumable, read in passes over its shards."""

from __future__ import annotations

import dataclasses
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_caches import (
    N_CLIPS,
    cache_recipe,
    draw_small_cache,
    nothing,
    parts_of,
    write_slowly,
)

from kws.errors import ConfigError
from training.batches import clip_cache as caches
from training.batches.cached_batches import CachedBatches, open_cache
from training.batches.clip_cache import (
    LABELS,
    SAMPLES,
    SOURCES,
    ClipCache,
    fill_shards,
    no_interrupts,
    save_array,
)
from training.batches.draw_cache import draw_cache
from training.batches.features import FeatureMaker
from training.cli import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_cache_holds_what_was_asked_for(cache):
    """
    Each shard has its clips as int16 samples, and a label that the recipe has for each.
    """
    samples, labels = parts_of(cache, SAMPLES), parts_of(cache, LABELS)

    assert [(16, 16_000)] * 3 == [part.shape for part in samples]
    assert {np.dtype(np.int16)} == {part.dtype for part in samples}
    assert {0, 1, 2, 3} >= set(np.concatenate(labels).tolist())
    np.testing.assert_array_equal(np.concatenate(labels), cache.read_labels())
    assert N_CLIPS == len({clip.tobytes() for part in samples for clip in part})


def test_a_cache_keeps_who_speaks_in_each_clip(cache):
    """
    The same speaker has the same number in all shards, and noise has none.
    """
    labels, sources = cache.read_labels(), np.concatenate(parts_of(cache, SOURCES))
    silent = labels == cache.recipe.data.labels.index("_silence_")

    assert np.dtype(np.int32) == sources.dtype
    np.testing.assert_array_equal(sources == -1, silent)
    assert 1 < len(set(sources[~silent].tolist())) < np.sum(~silent)


def test_caches_join_into_one(cache, clips, tmp_path):
    """
    Batches draw from both, once a pass; a cache of other data is refused by its own path.
    """
    more = tmp_path / "more"
    draw_small_cache(dataclasses.replace(cache_recipe(clips), seed=2), more)
    recipe = cache_recipe(
        clips, cache={"path": str(cache.path), "more_paths": [str(more)]}, fit={"batch_size": 96}
    )
    joined = open_cache(recipe)

    assert 2 * N_CLIPS == joined.n_shards * joined.shard_clips
    np.testing.assert_array_equal(
        joined.read_labels(),
        np.concatenate([cache.read_labels(), ClipCache.open(more).read_labels()]),
    )
    targets = CachedBatches(recipe, joined).make(0, 0)[1]
    np.testing.assert_array_equal(np.sort(targets.argmax(axis=1)), np.sort(joined.read_labels()))
    other = dataclasses.replace(recipe.data, held_out_noise=("rain",))
    with pytest.raises(ConfigError, match=r"drawn with data\.held_out_noise"):
        CachedBatches(dataclasses.replace(recipe, data=other), joined)


def test_a_cache_continues_where_it_stopped(cache, clips, tmp_path):
    """
    A shard that is there stays untouched, a missing one comes out as it was.
    """
    wanted = cache.file(1, SAMPLES).read_bytes()
    kept = cache.file(0, SAMPLES).stat().st_mtime_ns
    cache.file(1, LABELS).unlink()

    with pytest.raises(ConfigError, match="1 of 3 shards are missing"):
        ClipCache.open(cache.path)
    steps = draw_small_cache(cache_recipe(clips), cache.path)

    assert [(2, 3), (3, 3)] == steps
    assert wanted == cache.file(1, SAMPLES).read_bytes()
    assert kept == cache.file(0, SAMPLES).stat().st_mtime_ns


def test_fewer_clips_do_not_shrink_a_cache(cache, clips):
    """
    Asked for one shard, a cache of three keeps all of its clips.
    """
    before = (cache.path / "cache.json").read_bytes()

    assert [(3, 3)] == draw_small_cache(cache_recipe(clips), cache.path, n_clips=16)
    assert before == (cache.path / "cache.json").read_bytes()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (["--clips", "0"], "--clips: expected at least 1, got 0"),
        (["--clips", "-5"], "--clips: expected at least 1, got -5"),
        (["--clips", "16", "--processes", "0"], "--processes: expected at least 1, got 0"),
    ],
)
def test_no_clips_and_no_processes_are_one_line(clips, tmp_path, capsys, numbers, message):
    """
    What cannot make a cache leaves no folder behind.
    """
    data = f"--set=data.clips={clips}"

    assert 1 == train.main(["cache", "default", data, *numbers, "--out", str(tmp_path / "cache")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_another_recipe_is_left_alone(cache, clips):
    """
    Drawing into a cache with other settings would mix two kinds of clips.
    """
    other = dataclasses.replace(cache_recipe(clips), seed=5)

    with pytest.raises(ConfigError, match="cache of another recipe"):
        draw_small_cache(other, cache.path)


def test_a_recipe_of_plain_classes_has_no_cache(clips, tmp_path):
    """
    A cache holds keywords: other recipes are refused before anything is written.
    """
    recipe = cache_recipe(clips, source={"kind": "folders"})

    with pytest.raises(ConfigError, match="recipe tiny: a cache holds clips drawn by word"):
        next(draw_cache(recipe, tmp_path / "cache", n_clips=16))
    assert not (tmp_path / "cache").exists()


def test_a_pass_takes_each_clip_once(cache, clips):
    """
    Three batches of 16 are the 48 clips of the cache, in another order the next time.
    """
    recipe = cache_recipe(clips, cache={"path": str(cache.path)})
    maker = CachedBatches(recipe, cache)
    first = np.concatenate([maker.make(0, step)[0] for step in range(3)])
    second = np.concatenate([maker.make(0, step)[0] for step in range(3, 6)])
    all_clips = np.concatenate(parts_of(cache, SAMPLES))
    wanted = FeatureMaker(recipe.frontend).windows(all_clips, n_frames=98)

    assert sorted(row.tobytes() for row in wanted) == sorted(row.tobytes() for row in first)
    assert sorted(row.tobytes() for row in first) == sorted(row.tobytes() for row in second)
    assert first.tobytes() != second.tobytes()


def test_a_cache_may_have_more_shards_than_files_may_be_open(clips, tmp_path, rng, monkeypatch):
    """
    With a few maps kept open, a batch over 64 shards is read where 40 files may be opened.
    """
    resource = pytest.importorskip("resource", reason="limits are those of Unix")
    recipe = cache_recipe(clips)
    many = ClipCache(tmp_path, recipe, 64, 1)
    for shard in range(64):
        samples = rng.normal(0, 900, (1, 16_000)).astype(np.int16)
        save_array(many.file(shard, SAMPLES), samples)
        save_array(many.file(shard, LABELS), np.array([shard % 4], np.int16))
    monkeypatch.setattr(caches, "OPEN_SHARDS", 8)
    fit = dataclasses.replace(recipe.fit, batch_size=64)
    with open(tmp_path / "next", "w") as lowest:
        n_open = lowest.fileno()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 40, before[1]))
    try:
        maker = CachedBatches(dataclasses.replace(recipe, fit=fit), many)
        features, targets = maker.make(0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert 64 == len({row.tobytes() for row in features})
    assert [16, 16, 16, 16] == targets.sum(axis=0).tolist()


def test_ctrl_c_does_not_reach_the_processes():
    """
    The parent alone gets the signal and ends them; they print no traceback.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        with no_interrupts():
            blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, [])

        assert signal.SIGINT in blocked.result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_interrupt_ends_the_processes_at_once(clips, tmp_path):
    """
    Shards in work are abandoned: nobody waits minutes for them after Ctrl-C.
    """
    cache = ClipCache(tmp_path, cache_recipe(clips), 3, 16)
    others = set(multiprocessing.active_children())
    steps = fill_shards(cache, LABELS, write_slowly, start=nothing, arguments=(), n_processes=2)

    assert [(0, 3), (1, 3)] == [next(steps), next(steps)]
    processes = set(multiprocessing.active_children()) - others
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())

    # By sentinels: the exit code may have gone to the pool's own thread, which waits for it, too.
    assert [True] * 2 == [bool(wait([process.sentinel], 30)) for process in processes]
    assert [1, 2] == cache.missing(LABELS)
