"""Small networks of every architecture, and recipes that train them in two short epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
from support.small_recipes import recipe_for
from training.config.recipe import Recipe

SMALL = {
    "ds_tc_resnet": {"stem_filters": 16, "blocks": [[16, 5, 2]], "head_filters": 16},
    "conv1d": {"stem": [4, 5, 2], "stages": [[6, 3, 2]]},
    "conv1d_skip": {"stem": [4, 5, 2], "stages": [[6, 3, 2]]},
    "ds_cnn": {"filters": 8, "n_blocks": 1},
    "matchboxnet": {"n_blocks": 1, "filters": 8, "edge_filters": 12},
    "maxpool4": {"filters": [4, 6]},
    "resnet18": {"filters": [4, 6], "blocks": [1, 1]},
    "strided8": {"filters": [4, 4, 6, 6]},
    "tc_resnet": {"channels": [4, 6]},
}


def make_recipe(clips: Path, architecture: str = "ds_tc_resnet", **sections: Any) -> Recipe:
    own = {
        "model": {"name": architecture, "params": SMALL[architecture]},
        "fit": {"epochs": 2, "warmup_epochs": 0.5},
        "export": {"calibration_clips": 16, "max_accuracy_loss": 0.2},
        "decision": {"thresholds": {"yes": 0.6}},
    }
    return recipe_for(clips, **{**own, **sections})
