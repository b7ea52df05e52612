"""Batches of many words: drawn by tempered number, from recordings, cuts and synthesised clips."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_recipes import PARAMS
from support.spoken_trees import RATE, write_speech

from kws.errors import ConfigError
from training.batches.cached_batches import CachedBatches
from training.batches.clip_cache import ClipCache
from training.batches.draw_cache import draw_cache
from training.batches.task import open_task
from training.batches.word_sampler import WordSampler
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit.trainer import fit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PLAIN = {
    "time_shift_ms": 0,
    "speed_probability": 0.0,
    "gain_probability": 0.0,
    "reverb_probability": 0.0,
    "noise_probability": 0.0,
    "n_time_masks": 0,
    "n_mel_masks": 0,
}


def make_recipe(tree: Path, **sections: Any) -> Recipe:
    """Return a resolved recipe for the words of the tree."""
    table: dict[str, dict[str, Any]] = {
        "data": {
            "clips": str(tree / "clips"),
            "speech": str(tree / "speech"),
            "speech_split": "part",
            "environment": "",
            "rooms": "",
        },
        "source": {"kind": "words", "split": "lists", "normalisation_clips": 0},
        "words": {"min_cuts": 3, "min_speakers": 2},
        "frontend": {"mean": -4.0, "std": 4.5},
        "model": {"params": PARAMS},
        "fit": {"epochs": 1, "clips_per_epoch": 32, "batch_size": 16, "ema_momentum": 0.5},
    }
    for name, section in sections.items():
        table[name] = {**table.get(name, {}), **section}
    return open_task(
        recipes.from_table({"name": "many", **table}, where="test"), measure=True
    ).recipe


@pytest.fixture(scope="module")
def tree(tmp_path_factory, write_tree) -> Path:
    """Recorded "up" (16) and "bed" (1), running speech of three with "hello" and "up"."""
    root = tmp_path_factory.mktemp("data")
    counts = {
        "up": {"training": 16, "validation": 2},
        "bed": {"training": 1, "validation": 1},
    }
    write_tree(root / "clips", counts, noise_s=20)
    said = {f"{speaker}-1-0": ("hello", "up", "hello", "up") * 2 for speaker in (11, 22, 33)}
    write_speech(root / "speech", said)
    (root / "synthetic" / "bed").mkdir(parents=True)
    soundfile.write(str(root / "synthetic" / "bed" / "a.wav"), np.full(RATE, 0.25), RATE)
    return root


def shares(recipe: Recipe, n: int = 600) -> dict[str, float]:
    """Return how often each label is drawn."""
    rng = np.random.default_rng(1)
    drawer = open_task(recipe).label_sampler()
    drawn = Counter(recipe.data.labels[drawer.draw(rng)[1]] for _ in range(n))
    return {label: drawn[label] / n for label in recipe.data.labels}


@pytest.mark.parametrize(
    ("count_exponent", "weights"), [(0.0, (1, 1, 1)), (0.5, (1, 8**0.5, 24**0.5))]
)
def test_words_are_drawn_by_their_number(tree, count_exponent, weights):
    """
    Of two training speakers: 1 clip of "bed", 8 of "hello", 16 + 8 of "up", to this power;
    unknown and silence by their shares.
    """
    recipe = make_recipe(
        tree,
        augmentation=PLAIN,
        words={"count_exponent": count_exponent, "unknown_share": 0.2, "silence_share": 0.1},
    )
    found = shares(recipe)
    expected = {
        **dict(zip(("bed", "hello", "up"), 0.7 * np.array(weights) / sum(weights))),
        "_unknown_": 0.2,
        "_silence_": 0.1,
    }

    assert tuple(expected) == recipe.data.labels
    assert expected == pytest.approx(found, abs=0.06)


def test_recordings_and_cuts_of_a_word_are_both_drawn(tree):
    """
    "up" by the root of 16 recordings and of 8 cuts; synthesised "bed" by its share.
    """
    recipe = make_recipe(tree, data={"synthetic": str(tree / "synthetic"), "synthetic_share": 0.25})
    drawer = WordSampler(recipe, open_task(recipe).vocabulary)
    rng = np.random.default_rng(1)
    ups = [drawer._word("up", rng) for _ in range(400)]
    beds = [drawer._word("bed", rng) for _ in range(400)]

    n_cuts = sum(clip.n_samples is not None for clip in ups)
    n_synthetic = sum(tree / "synthetic" in clip.path.parents for clip in beds)
    assert 8**0.5 / (8**0.5 + 16**0.5) == pytest.approx(n_cuts / 400, abs=0.07)
    assert 0.25 == pytest.approx(n_synthetic / 400, abs=0.06)
    assert {"up"} == {clip.label for clip in ups}


def test_batches_are_the_same_after_a_resume(tree):
    """
    Features of a second and one-hot targets of every word; (epoch, step) alone decides.
    """
    recipe = make_recipe(tree)
    open_task(recipe).check()
    went_on = open_task(recipe).training_batches()
    went_on.make(3, 1)
    features, targets = went_on.make(3, 2)
    again = open_task(recipe).training_batches().make(3, 2)

    assert (16, 98, 40) == features.shape
    assert (16, len(recipe.data.labels)) == targets.shape
    np.testing.assert_array_equal(features, again[0])
    np.testing.assert_array_equal(targets, again[1])


def test_a_cache_holds_words_too(tree, tmp_path):
    """
    Drawn once with the recipe's words, read in passes; one of other words is refused.
    """
    recipe = make_recipe(tree)
    assert [(0, 2), (1, 2), (2, 2)] == list(
        draw_cache(recipe, tmp_path / "cache", n_clips=32, shard_clips=16, n_processes=1)
    )
    cache = ClipCache.open(tmp_path / "cache")

    features, targets = CachedBatches(recipe, cache).make(0, 0)

    assert ((16, 98, 40), (16, 5)) == (features.shape, targets.shape)
    other = make_recipe(tree, words={"count_exponent": 0.0})
    with pytest.raises(ConfigError, match=r"drawn with other settings in \[source\] or \[words\]"):
        CachedBatches(other, cache)
    with pytest.raises(ConfigError, match="cache of another recipe"):
        next(draw_cache(other, tmp_path / "cache", n_clips=32, shard_clips=16))


def test_a_few_steps_train(tree, tmp_path):
    """
    kws-train fit: a run with the labels filled in, weights, and figures of every class.
    """
    run = fit(make_recipe(tree), tmp_path / "run", verbose=0)

    assert ("bed", "hello", "up", "_unknown_", "_silence_") == run.read_recipe().data.labels
    assert run.best.is_file()
    assert '"hello"' in (run.path / "scores.json").read_text()
    rows = (run.path / "predictions-validation.csv").read_text().splitlines()
    assert rows[0] == "file,start,label,predicted,bed,hello,up,_unknown_,_silence_"
    assert 4 + 3 <= len(rows)
    assert isinstance(run, RunFolder)
