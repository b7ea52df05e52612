"""The folder of one training run and the names of its files."""

from __future__ import annotations

import json
from pathlib import Path

from kws.errors import ConfigError
from kws.files import write_atomically
from training.config import recipe as recipes
from training.config.recipe import Recipe


class RunFolder:
    """The files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The settings of the run.
        self.recipe = path / "recipe.json"
        # Averaged weights of the epoch that the recipe keeps: the best, or the last.
        self.best = path / "best.weights.h5"
        # The whole training state after the last finished epoch, optimizer included.
        self.state = path / "last.keras"
        # Loss and accuracy of each epoch, as a table, as a picture and for TensorBoard.
        self.history = path / "history.csv"
        self.curves = path / "curves.png"
        self.tensorboard = path / "tensorboard"

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Check that the folder is free, or holds the run that is to be resumed.

        Raises
        ------
        ConfigError
            If a run is there already and `resume` is false, or its recipe differs.
        """
        if not self.recipe.is_file():
            return
        if not resume:
            raise ConfigError(
                f"{self.path}: holds a run already; continue with --resume or name another --out"
            )
        # Through a recipe, so that a run from before a setting was invented has its default.
        if recipes.to_table(self.read_recipe()) != recipes.to_table(recipe):
            raise ConfigError(
                f"{self.path}: its recipe.json differs from the recipe given; name another --out"
            )

    def start(self, recipe: Recipe) -> None:
        """Make the folder and write the recipe into it; called when nothing can fail any more."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.recipe, json.dumps(recipes.to_table(recipe), indent=2))

    def read_recipe(self) -> Recipe:
        """Return the recipe that made this run.

        Raises
        ------
        ConfigError
            If the folder holds no run.
        """
        if not self.recipe.is_file():
            raise ConfigError(f"{self.path}: expected the folder of a training run (recipe.json)")
        return recipes.from_table(json.loads(self.recipe.read_text()), where=str(self.recipe))
