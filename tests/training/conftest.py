"""Fixtures that test files share: made words, a cache drawn from them, what a report measures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from training.batches.clip_cache import ClipCache
    from training.embedding.backbone import WordEmbedder
    from training.embedding.negatives import Negatives


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, write_tree: Callable[..., Path]) -> Path:
    """Three words of tones with twelve clips each, four of them for validation, and noise."""
    counts = {word: {"training": 8, "validation": 4} for word in ("yes", "no", "cat")}
    return write_tree(tmp_path_factory.mktemp("data") / "clips", counts, noise_s=30)


@pytest.fixture(scope="module")
def cache(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipCache:
    """A cache of 48 clips in three shards, which no run has taught."""
    # Here, because it takes what only training needs.
    from support.small_caches import cache_recipe, draw_small_cache

    from training.batches.clip_cache import ClipCache

    out = tmp_path_factory.mktemp("cache") / "cache"
    assert draw_small_cache(cache_recipe(clips), out)[-1] == (3, 3)
    return ClipCache.open(out)


@pytest.fixture
def root(word_tree: Callable[..., Path]) -> Path:
    """Four words of tones in three splits, and noise."""
    from support.drawn_clips import COUNTS

    return word_tree(COUNTS, noise_s=20)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, noise, two streams and a second model."""
    from support.report_material import make_material

    folder = tmp_path_factory.mktemp("material")
    make_material(folder)
    return folder


@pytest.fixture(scope="session")
def embedder() -> WordEmbedder:
    """The shipped word backbone."""
    # Late: most tests run without the extra for enrolment.
    from training.embedding.backbone import WordBackbone, WordEmbedder

    return WordEmbedder(WordBackbone.read("words"))


@pytest.fixture(scope="session")
def negatives(embedder) -> Negatives:
    """The shipped negatives."""
    from training.embedding.negatives import Negatives

    backbone = embedder.description
    return Negatives.read(backbone.negatives_path, backbone=backbone.sha256)
