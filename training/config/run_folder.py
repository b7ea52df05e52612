"""The folder of one training run and the names of its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.files import write_atomically
from training.config import recipe as recipes
from training.config.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The settings of the run, as JSON."""
        return self.path / "recipe.json"

    @property
    def best(self) -> Path:
        """Averaged weights of the epoch that the recipe keeps: the best, or the last."""
        return self.path / "best.weights.h5"

    @property
    def state(self) -> Path:
        """The whole training state after the last finished epoch, optimizer included."""
        return self.path / "last.keras"

    @property
    def history(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def curves(self) -> Path:
        """The history as a picture."""
        return self.path / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's logs."""
        return self.path / "tensorboard"

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Check that the folder is free, or holds the run that is to be resumed.

        Raises
        ------
        ConfigError
            If a run is there already and `resume` is false, or its recipe differs.
        """
        table = recipes.to_table(recipe)
        if not self.recipe.is_file():
            return
        if not resume:
            raise ConfigError(
                f"{self.path}: holds a run already; continue with --resume or name another --out"
            )
        # Through a recipe, so that a run from before a setting was invented has its default.
        if recipes.to_table(self.read_recipe()) != table:
            raise ConfigError(
                f"{self.path}: its recipe.json differs from the recipe given; name another --out"
            )

    def start(self, recipe: Recipe) -> None:
        """Make the folder and write the recipe into it; called when nothing can fail any more."""
        text = json.dumps(recipes.to_table(recipe), indent=2)
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.recipe, text)

    def read_recipe(self) -> Recipe:
        """Return the recipe that made this run.

        Raises
        ------
        ConfigError
            If the folder holds no run.
        """
        if not self.recipe.is_file():
            raise ConfigError(f"{self.path}: expected the folder of a training run (recipe.json)")
        table: dict[str, Any] = json.loads(self.recipe.read_text())
        return recipes.from_table(table, where=str(self.recipe))
