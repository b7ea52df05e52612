"""Recipes on made words, and what draws single clips and whole batches by them."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")


from training.batches.batch_maker import DrawnBatches
from training.batches.keyword_sampler import KeywordSampler
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe

COUNTS = {
    word: {"training": 4, "validation": 2, "testing": 2} for word in ("yes", "no", "bed", "cat")
}
PLAIN = {
    "time_shift_ms": 0,
    "speed_probability": 0.0,
    "gain_probability": 0.0,
    "reverb_probability": 0.0,
    "noise_probability": 0.0,
    "n_time_masks": 0,
    "n_mel_masks": 0,
}


def make_recipe(clips: Any, *, speech: Any = "", **sections: dict[str, Any]) -> Recipe:
    data = {
        "clips": str(clips),
        "speech": str(speech),
        "environment": "",
        "rooms": "",
        "keywords": ["yes", "no"],
    }
    table = {"name": "test", "fit": {"batch_size": 16}, **sections}
    table["data"] = {**data, **sections.get("data", {})}
    return recipes.from_table(table, where="test")


def make_sampler(recipe: Recipe) -> KeywordSampler:
    return open_task(recipe).label_sampler()


def make_batches(recipe: Recipe) -> DrawnBatches:
    return open_task(recipe).training_batches()
