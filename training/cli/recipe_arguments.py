"""The recipe of a command, with the settings changed on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config.recipe import Recipe


def add_recipe_arguments(made: argparse.ArgumentParser) -> None:
    """Add RECIPE and ``--set``."""
    made.add_argument("recipe", metavar="RECIPE", help="a shipped recipe or a .toml file")
    made.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="change one setting of the recipe; may be repeated",
    )


def load_recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that the arguments name."""
    from training.config import recipe as recipes

    overrides = dict(recipes.parse_override(text) for text in arguments.overrides)
    return recipes.load(arguments.recipe, overrides=overrides)
