"""Recipes of small networks that train on made clips in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.config import recipe as recipes

PARAMS = {"stem_filters": 8, "blocks": [[8, 5, 1]], "head_filters": 8}


def recipe_for(clips: Path, **sections: Any) -> recipes.Recipe:
    """Return a recipe for "yes" and "no" on `clips` alone.

    What `sections` hold is added to the recipe's own: ``fit={"epochs": 2}`` leaves the rest of
    ``[fit]`` as it is.
    """
    table: dict[str, dict[str, Any]] = {
        "data": {
            "clips": str(clips),
            "speech": "",
            "environment": "",
            "rooms": "",
            "keywords": ["yes", "no"],
        },
        "frontend": {"mean": -4.0, "std": 4.5},
        "model": {"params": PARAMS},
        "fit": {"epochs": 1, "clips_per_epoch": 32, "batch_size": 16, "ema_momentum": 0.5},
    }
    for name, section in sections.items():
        table[name] = {**table.get(name, {}), **section}
    return recipes.from_table({"name": "tiny", **table}, where="test")
