"""A cache of augmented clips on disk: drawn once, trained on many times, with soft labels.

Drawing and augmenting a clip costs about as much as training a small network on it, and running a
large teacher on it costs more. A cache does both once, for all seeds and sizes. It is read through
a memory map, a batch at a time, so that it may be far larger than memory.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import atomic_path
from training.config import recipe as recipes
from training.config.recipe import Recipe

SHARD_CLIPS = 4_096
SAMPLES, LABELS, SOURCES = "samples", "labels", "sources"
HEAD = "cache.json"
# Of each kind and at once. A cache of 500,000 clips stays open as a whole; 1,024 files are usual
# as a process' limit.
OPEN_SHARDS = 128


@dataclass(frozen=True)
class ClipCache:
    """A folder with ``cache.json`` and, for each shard, one .npy file of each kind.

    ``NNNNN.samples.npy`` is int16 ``(n, n_samples)``, ``NNNNN.labels.npy`` int16 ``(n,)``,
    ``NNNNN.sources.npy`` int32 ``(n,)``: a hash of the speaker or recording, -1 without one;
    ``NNNNN.teacher-NAME.npy`` float16 ``(n, n_labels)``: the soft labels of a teacher, whose
    weights ``teacher-NAME.json`` identifies.
    """

    path: Path
    recipe: Recipe
    n_shards: int
    shard_clips: int = SHARD_CLIPS
    parts: tuple[ClipCache, ...] = ()
    """Of joined caches: each of them."""

    @classmethod
    def open(cls, path: Path) -> ClipCache:
        """Return a finished cache.

        Raises
        ------
        ConfigError
            If the folder holds none, or shards of it are missing.
        """
        head = path / HEAD
        if (path / "bank.json").is_file():
            raise ConfigError(
                f"{path}: a bank of kws 0.1, now called a cache; draw it again with kws-train cache"
            )
        if not head.is_file():
            raise ConfigError(f"{path}: expected a cache of clips, made by kws-train cache")
        table = json.loads(head.read_text(encoding="utf-8"))
        recipe = recipes.from_table(table["recipe"], where=str(head))
        cache = cls(path, recipe, table["n_shards"], table["shard_clips"])
        if missing := cache.missing(LABELS):
            raise ConfigError(
                f"{path}: {len(missing)} of {cache.n_shards} shards are missing; "
                "run kws-train cache again to continue"
            )
        return cache

    @classmethod
    def join(cls, parts: Sequence[ClipCache]) -> ClipCache:
        """Return several caches as one: the shards of the first, then those of the next.

        Raises
        ------
        ConfigError
            If their shards differ in size.
        """
        first = parts[0]
        for part in parts:
            if part.shard_clips != first.shard_clips:
                raise ConfigError(
                    f"{part.path}: expected {first.shard_clips} clips in a shard as in "
                    f"{first.path}, got {part.shard_clips}"
                )
        n_shards = sum(part.n_shards for part in parts)
        return cls(first.path, first.recipe, n_shards, first.shard_clips, tuple(parts))

    def file(self, shard: int, kind: str) -> Path:
        """Return the file of one kind of one shard."""
        for part in self.parts:
            if shard < part.n_shards:
                return part.file(shard, kind)
            shard -= part.n_shards
        return self.path / f"{shard:05d}.{kind}.npy"

    def require(self, kind: str) -> None:
        """Raise `ConfigError` if a shard lacks a kind."""
        missing = self.missing(kind)
        if not missing:
            return
        name = kind.partition("-")[2] if kind.startswith(embedding_kind("")) else "RUN"
        folder = self.file(missing[0], kind).parent
        remedy = f"write it with kws-train soft-labels {folder} {name}"
        if kind == SOURCES:
            remedy = "draw another cache with kws-train cache"
        raise ConfigError(f"{self.file(missing[0], kind)}: not there; {remedy}")

    def missing(self, kind: str) -> list[int]:
        """Return the shards that lack a kind."""
        return [n for n in range(self.n_shards) if not self.file(n, kind).is_file()]

    def read_sources(self) -> NDArray[np.int32]:
        """Return the source of all clips, -1 without one; `ConfigError` if it is unknown."""
        self.require(SOURCES)
        return np.concatenate([np.load(self.file(n, SOURCES)) for n in range(self.n_shards)])

    def read_labels(self) -> NDArray[np.intp]:
        """Return the labels of all clips, in memory."""
        parts = [np.load(self.file(n, LABELS)) for n in range(self.n_shards)]
        return np.concatenate(parts).astype(np.intp)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the teachers with soft labels for the first shard, sorted."""
        found = self.path.glob("00000.teacher-*.npy")
        return tuple(sorted(path.name[len("00000.teacher-") : -len(".npy")] for path in found))


def embedding_kind(name: str) -> str:
    """Return the kind of array that holds a published embedding."""
    return f"embedding-{name}"


class ShardRows:
    """One kind of array of a cache, a row a clip, read through memory maps.

    A map keeps its file open, and a cache may have more shards than a process may open files.

    Raises
    ------
    ConfigError
        If a shard lacks this kind.
    """

    def __init__(self, cache: ClipCache, kind: str) -> None:
        cache.require(kind)
        self._cache, self._kind = cache, kind
        self._open = lru_cache(OPEN_SHARDS)(partial(np.load, mmap_mode="r"))

    def row(self, clip: int) -> NDArray[Any]:
        """Return the row of a clip, by its number in the cache."""
        shard, place = divmod(clip, self._cache.shard_clips)
        # A copy: a row of the map would keep its file open.
        return np.array(self._open(self._cache.file(shard, self._kind))[place])

    def rows(self, clips: NDArray[np.intp]) -> NDArray[Any]:
        """Return the stacked rows of several clips."""
        return np.stack([self.row(int(clip)) for clip in clips])


@contextlib.contextmanager
def no_interrupts() -> Iterator[None]:
    """Start processes inside that Ctrl-C at the terminal does not reach; their parent ends them.

    Without this each of them prints a traceback. The signal mask is inherited.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fill_shards(
    cache: ClipCache,
    kind: str,
    write_shard: Callable[[ClipCache, int, str], None],
    *,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
    n_processes: int,
) -> Iterator[tuple[int, int]]:
    """Write the shards that lack a kind; yield (shards done, shards in all).

    Shards that exist are kept, so that a repeated call continues. Processes begin with
    ``start(*arguments)`` and call ``write_shard(cache, shard, kind)``.
    """
    if n_processes < 1:
        raise ConfigError(f"--processes: expected at least 1, got {n_processes}")
    others = set(multiprocessing.active_children())
    missing = cache.missing(kind)
    n_done = cache.n_shards - len(missing)
    yield n_done, cache.n_shards
    with ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start,
        initargs=arguments,
    ) as pool:
        with no_interrupts():
            running = [pool.submit(write_shard, cache, shard, kind) for shard in missing]
        try:
            for done, future in enumerate(as_completed(running), n_done + 1):
                future.result()
                yield done, cache.n_shards
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # The shards in work take minutes; Python would wait for them at its end.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array to a .npy file; the file appears only when it is whole."""
    with atomic_path(path) as name:
        np.save(name, array)
