"""`kws-train pictures` and `ablate`: spectrograms as PNG, and what each setting is worth."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError

EXAMPLES = """\
  kws-train pictures cnn2d-pictures-random             into the folder that the recipe reads
  kws-train fit cnn2d-pictures-random --out runs/random
  kws-train ablate cnn2d-pictures-speaker --seeds 1 2 3 --out runs/ablation --case none \\
      --case shear pictures.shear_probability=0.5 --case flip pictures.flip_probability=0.5
"""


def add_parsers(commands: Any, add_recipe: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the two commands."""
    pictures = program.add_command(
        commands,
        "pictures",
        examples=EXAMPLES,
        text="write the spectrograms of clips as PNG, one folder a class; goes on where it stopped",
    )
    add_recipe(pictures)
    pictures.add_argument(
        "--out", type=Path, metavar="DIR", help="default: the recipe's data.clips"
    )
    pictures.add_argument("--json", action="store_true", help="one JSON object on stdout")
    ablate = program.add_command(
        commands,
        "ablate",
        examples=EXAMPLES,
        text="train a recipe with one change or another, several seeds each, and print a table",
        description="Train a recipe with one change or another, several seeds each, and print "
        "validation accuracies. Run again, it goes on; finished runs are only read.",
    )
    add_recipe(ablate)
    ablate.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
    ablate.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    ablate.add_argument(
        "--case",
        dest="cases",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "SECTION.KEY=VALUE"),
        help="a name and its changes; may be repeated, the first is what others are held against",
    )
    ablate.add_argument("--json", action="store_true", help="one JSON object on stdout")


def pictures(arguments: argparse.Namespace, load: Callable[[argparse.Namespace], Any]) -> int:
    """Write the pictures and say how many."""
    from training.cli.terminal import progress_bar
    from training.datasets.picture_tree import write_pictures

    recipe = load(arguments)
    out = arguments.out or recipe.data.path("clips")
    if out is None:
        raise ConfigError(f"recipe {recipe.name}: data.clips is empty; name a folder with --out")
    n_written = write_pictures(recipe, out, progress=progress_bar("drawing"))
    if arguments.json:
        program.print_json({"pictures": str(out), "written": n_written})
    else:
        print(f"{out}: {n_written} pictures written")
    return 0


def ablate(arguments: argparse.Namespace) -> int:
    """Train every case with every seed and print the table."""
    from training.config import recipe as recipes
    from training.fit import ablation

    cases = [ablation.parse_case(words) for words in arguments.cases]
    if len({case.name for case in cases}) < len(cases):
        raise ConfigError("--case: expected names that differ")
    overrides = dict(recipes.parse_override(text) for text in arguments.overrides)
    for case in cases:
        # A slip in the last case shall not be found after hours.
        recipes.load(arguments.recipe, overrides={**overrides, **case.overrides})
    accuracies: dict[str, list[float]] = {case.name: [] for case in cases}
    # Seed by seed: whoever stops early has all cases.
    for seed in arguments.seeds:
        for case in cases:
            # Keras reports progress on stdout, which is for results.
            with contextlib.redirect_stdout(sys.stderr):
                accuracy = ablation.run_case(
                    arguments.recipe, case, seed, arguments.out, overrides=overrides
                )
            accuracies[case.name].append(accuracy)
    rows = ablation.rows(accuracies)
    if arguments.json:
        program.print_json({"recipe": arguments.recipe, "seeds": arguments.seeds, "cases": rows})
    else:
        print(ablation.markdown(rows))
    return 0
