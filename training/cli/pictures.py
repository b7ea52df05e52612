"""`kws-train pictures`: spectrograms as PNG files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError
from training.cli.recipe_arguments import add_recipe_arguments, load_recipe

EXAMPLES = """\
  kws-train pictures cnn2d-pictures-random             into the folder that the recipe reads
  kws-train fit cnn2d-pictures-random --out runs/random
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = program.add_command(
        commands,
        "pictures",
        examples=EXAMPLES,
        text="write the spectrograms of clips as PNG, one folder per class; run again to continue",
    )
    add_recipe_arguments(made)
    made.set_defaults(handler=pictures)
    made.add_argument("--out", type=Path, metavar="DIR", help="default: the recipe's data.clips")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def pictures(arguments: argparse.Namespace) -> int:
    """Write the pictures and print how many."""
    from training.batches.picture_tree import write_pictures
    from training.cli.terminal import progress_bar

    recipe = load_recipe(arguments)
    out = arguments.out or recipe.data.path("clips")
    if out is None:
        raise ConfigError(f"recipe {recipe.name}: data.clips is empty; name a folder with --out")
    n_written = write_pictures(recipe, out, progress=progress_bar("drawing"))
    if arguments.json:
        program.print_json({"pictures": str(out), "written": n_written})
    else:
        print(f"{out}: {n_written} pictures written")
    return 0
