"""A bank of augmented clips on disk: drawn once, trained on many times, taught by large networks.

Drawing and augmenting a clip costs about as much as training a small network on it, and asking a
large one what it hears costs more. A bank does both once, for all seeds and sizes. It is read
through a memory map, a batch at a time, so that it may be far larger than memory.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kws.errors import ConfigError
from kws.files import atomic_path, write_atomically
from training.batches.class_recipe import resolved
from training.batches.keyword_sampler import ClipDrawer
from training.batches.word_sampler import DRAWN, open_drawer
from training.config import recipe as recipes
from training.config.recipe import Recipe

SHARD_CLIPS = 4_096
SAMPLES, LABELS = "samples", "labels"
# Of each kind and at once. A bank of 500,000 clips stays open as a whole; 1,024 files are usual
# as a process' limit.
OPEN_SHARDS = 128


@dataclass(frozen=True)
class ClipBank:
    """A folder with ``bank.json`` and, for each shard, one .npy file of each kind.

    ``NNNNN.samples.npy`` is int16 ``(n, n_samples)``, ``NNNNN.labels.npy`` int16 ``(n,)``,
    ``NNNNN.teacher-NAME.npy`` float16 ``(n, n_labels)``: what a trained run says of these clips;
    ``teacher-NAME.json`` tells which weights said it.
    """

    path: Path
    recipe: Recipe
    n_shards: int
    shard_clips: int = SHARD_CLIPS

    @classmethod
    def open(cls, path: Path) -> ClipBank:
        """Return a finished bank.

        Raises
        ------
        ConfigError
            If the folder holds none, or shards of it are missing.
        """
        head = path / "bank.json"
        if not head.is_file():
            raise ConfigError(f"{path}: expected a bank of clips, made by kws-train bank")
        table = json.loads(head.read_text(encoding="utf-8"))
        recipe = recipes.from_table(table["recipe"], where=str(head))
        bank = cls(path, recipe, table["n_shards"], table["shard_clips"])
        missing = [n for n in range(bank.n_shards) if not bank.file(n, LABELS).is_file()]
        if missing:
            raise ConfigError(
                f"{path}: {len(missing)} of {bank.n_shards} shards are missing; "
                "call kws-train bank again to go on"
            )
        return bank

    def file(self, shard: int, kind: str) -> Path:
        """Return the file of one kind of one shard."""
        return self.path / f"{shard:05d}.{kind}.npy"

    def read_labels(self) -> NDArray[np.intp]:
        """Return the labels of all clips, in memory."""
        parts = [np.load(self.file(n, LABELS)) for n in range(self.n_shards)]
        return np.concatenate(parts).astype(np.intp)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the runs that have taught the first shard, sorted."""
        found = self.path.glob("00000.teacher-*.npy")
        return tuple(sorted(path.name[len("00000.teacher-") : -len(".npy")] for path in found))


class ShardRows:
    """One kind of array of a bank, a row a clip, read through memory maps.

    A map keeps its file open, and a bank may have more shards than a process may open files.

    Raises
    ------
    ConfigError
        If a shard lacks this kind.
    """

    def __init__(self, bank: ClipBank, kind: str) -> None:
        absent = [n for n in range(bank.n_shards) if not bank.file(n, kind).is_file()]
        if absent:
            raise ConfigError(
                f"{bank.file(absent[0], kind)}: not there; "
                "teach the bank with kws-train teach BANK RUN"
            )
        self._shard_clips = bank.shard_clips

        @lru_cache(OPEN_SHARDS)
        def open_map(shard: int) -> NDArray[Any]:
            mapped: NDArray[Any] = np.load(bank.file(shard, kind), mmap_mode="r")
            return mapped

        self._map = open_map

    def row(self, clip: int) -> NDArray[Any]:
        """Return what is kept of a clip, by its number in the bank."""
        shard, place = divmod(clip, self._shard_clips)
        # A copy: a row of the map would keep its file open.
        return np.array(self._map(shard)[place])


def make_bank(
    recipe: Recipe,
    out: Path,
    *,
    n_clips: int,
    n_processes: int = 2,
    shard_clips: int = SHARD_CLIPS,
) -> Iterator[tuple[int, int]]:
    """Draw the clips of a recipe into the bank `out`; yield (shards done, shards in all).

    Shards that are there stay, so that the same call goes on after an interruption, and fewer
    clips leave a larger bank as large as it is. Each shard has a seed of its own: the bank is the
    same however many processes make it.

    Raises
    ------
    ConfigError
        If a number is below 1, `out` holds a bank of another recipe, data are missing, or the
        recipe is one of plain classes.
    """
    if recipe.source.kind not in DRAWN:
        raise ConfigError(f"recipe {recipe.name}: a bank holds keywords, not plain classes")
    check_positive("--clips", n_clips)
    check_positive("--processes", n_processes)
    recipe = resolved(recipe)
    n_shards = max(-(-n_clips // shard_clips), _n_drawn(out))
    bank = ClipBank(out, recipe, n_shards, shard_clips)
    head = {
        "recipe": recipes.to_table(recipe),
        "n_shards": n_shards,
        "shard_clips": shard_clips,
    }
    there = out / "bank.json"
    if there.is_file() and not _is_same(json.loads(there.read_text(encoding="utf-8")), head):
        raise ConfigError(f"{out}: holds a bank of another recipe; name another --out")
    open_drawer(recipe)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(there, json.dumps(head, indent=2))
    wanted = [n for n in range(n_shards) if not bank.file(n, LABELS).is_file()]
    yield n_shards - len(wanted), n_shards
    with _pool(n_processes, _open_drawer, (recipe,)) as pool:
        running = [pool.submit(_draw_shard, bank, shard) for shard in wanted]
        try:
            for done, future in enumerate(as_completed(running), n_shards - len(wanted) + 1):
                future.result()
                yield done, n_shards
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def check_positive(option: str, value: int) -> None:
    """Raise ConfigError for a number below 1."""
    if value < 1:
        raise ConfigError(f"{option}: expected at least 1, got {value}")


def _n_drawn(out: Path) -> int:
    """Return how many shards a bank must have to hold the last one that lies there."""
    shards = out.glob(f"[0-9]*.{LABELS}.npy")
    return max((int(path.name.split(".")[0]) + 1 for path in shards), default=0)


def _is_same(there: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether shards of the bank that is there fit the one that is wanted, maybe a larger one.

    Clips depend on data and augmentation; network and training may be others.
    """
    wanted = json.loads(json.dumps(wanted))
    drawn = ["seed", "data", "augmentation"]
    if wanted["recipe"]["source"]["kind"]:
        drawn += ["source", "words"]
    return there["shard_clips"] == wanted["shard_clips"] and all(
        there["recipe"].get(key) == wanted["recipe"][key] for key in drawn
    )


def _pool(n_processes: int, start: Any, arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start,
        initargs=arguments,
    )


_drawer: ClipDrawer | None = None


def _open_drawer(recipe: Recipe) -> None:
    global _drawer
    threadpool_limits(1)
    os.nice(1)
    _drawer = open_drawer(recipe)


def _draw_shard(bank: ClipBank, shard: int) -> None:
    assert _drawer is not None
    rng = np.random.default_rng((bank.recipe.seed, shard))
    drawn = [_drawer.draw(rng) for _ in range(bank.shard_clips)]
    samples = np.stack([samples for samples, _ in drawn])
    labels = np.array([label for _, label in drawn], np.int16)
    save_array(bank.file(shard, SAMPLES), samples)
    # The labels last: a shard that has them is whole.
    save_array(bank.file(shard, LABELS), labels)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array to a .npy file, never half of it."""
    with atomic_path(path) as name:
        np.save(name, array)
