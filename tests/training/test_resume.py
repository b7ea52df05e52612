"""A run that was interrupted and resumed is the run that was not."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras

from training import fit as fits
from training import recipe as recipes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Stop(keras.callbacks.Callback):
    """Stop after the epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = True


def test_a_resumed_run_has_the_curves_of_an_uninterrupted_one(tmp_path, write_tree, monkeypatch):
    """
    Weights, averages, schedule and what is not decayed are those of the run that stopped.
    """
    counts = {word: {"training": 6, "validation": 3} for word in ("yes", "no", "cat")}
    clips = write_tree(tmp_path / "clips", counts, noise_s=10)
    recipe = recipes.from_table(
        {
            "name": "small",
            "data": {
                "clips": str(clips),
                "speech": "",
                "environment": "",
                "rooms": "",
                "keywords": ["yes", "no"],
            },
            "frontend": {"mean": -4.0, "std": 4.5},
            "model": {
                "params": {
                    "stem_filters": 8,
                    "blocks": [[8, 5, 1]],
                    "head_filters": 8,
                    "dropout": 0.0,
                }
            },
            # Decay so strong that one of too many weights shows.
            "fit": {
                "epochs": 2,
                "clips_per_epoch": 128,
                "batch_size": 8,
                "learning_rate": 0.01,
                "weight_decay": 1.0,
                "ema_momentum": 0.5,
                "warmup_epochs": 0.2,
            },
        },
        where="test",
    )
    whole = fits.fit(recipe, tmp_path / "whole", verbose=0)
    its_callbacks = fits._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(fits, "_callbacks", lambda *given: [*its_callbacks(*given), Stop()])
        fits.fit(recipe, tmp_path / "parts", verbose=0)
    parts = fits.fit(recipe, tmp_path / "parts", resume=True, verbose=0)

    expected, got = fits.read_history(whole.history), fits.read_history(parts.history)
    assert [0, 1] == [row["epoch"] for row in got]
    for one, other in zip(expected, got):
        assert other == pytest.approx(one, abs=1e-4)
