"""`kws-train`: fetch data, train by a recipe, export to int8."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import program
from kws.errors import MissingDependencyError
from training.cli import backbone, cache, export, fit, pictures, transfer
from training.cli.recipe_arguments import add_recipe_arguments, load_recipe

if TYPE_CHECKING:
    from training.config.recipe import Recipe

EXAMPLES = """\
  kws-train recipes --table
  kws-train fetch speech-commands --out data
  kws-train fetch yamnet --out $KWS_DATA
  KWS_DATA=data kws-train fit simple --out runs/simple
  kws-train show simple --out augmentation.png
  kws-train hard-negatives runs/default-1 --out runs/hard.csv
  kws-train pictures cnn2d-pictures-random                 spectrograms as PNG
  kws-train transfer yamnet-esc10 --export                 a head on YAMNet, as one model
  kws-train export runs/default --out my_models
  kws-train export default --c-array --out firmware/src    for microcontrollers
  kws-train export default --hop-frames 2 --out fast       a streaming model, steps of 20 ms
"""
# Subcommands of release 0.1.
RENAMED = {
    "few-shot": "kws-eval few-shot",
    "negatives": "kws-train backbone BACKBONE.json --speech DIR",
    "bank": "kws-train cache",
    "teach": "kws-train soft-labels",
    "mine": "kws-train hard-negatives",
    "stream": "kws-train export MODEL --hop-frames N",
    "compare": "tensorboard --logdir RUNS",
    "ablate": "kws-train fit RECIPE --set SECTION.KEY=VALUE --set seed=N",
}
# Without this TensorFlow logs its start on stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_dispatch, _parser(), argv, renamed=RENAMED)


def _dispatch(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.handler(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("kws", "training"):
            raise
        raise MissingDependencyError(
            f"kws-train {arguments.command} needs {error.name}; "
            "pip install '.[train]' in a checkout of kws"
        ) from error
    return code


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-train",
        "Train keyword models by recipe and export them to int8 TFLite.",
        examples=EXAMPLES,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit.add_parser(commands)
    _add_hard_negatives(commands)
    backbone.add_parser(commands)
    cache.add_parsers(commands)
    export.add_parser(commands)
    pictures.add_parser(commands)
    transfer.add_parser(commands)
    _add_recipes(commands)
    _add_show(commands)
    _add_fetch(commands)
    return made


def _add(commands: Any, name: str, handler: Callable[..., int], text: str) -> Any:
    made = program.add_command(commands, name, examples=EXAMPLES, text=text)
    made.set_defaults(handler=handler)
    return made


def _add_hard_negatives(commands: Any) -> None:
    text = "list the windows of running speech that a trained run takes for keywords"
    made = _add(commands, "hard-negatives", _hard_negatives, text)
    made.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    made.add_argument("--out", type=Path, required=True, metavar="CSV")
    made.add_argument(
        "--least", type=float, default=0.3, help="smallest posterior that counts (default: 0.3)"
    )


def _add_recipes(commands: Any) -> None:
    made = _add(commands, "recipes", _recipes, "list the recipes that ship")
    made.add_argument(
        "--table", action="store_true", help="build each network: parameters and multiplications"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_show(commands: Any) -> None:
    made = _add(commands, "show", _show, "draw what a recipe's augmentation does to clips")
    add_recipe_arguments(made)
    made.add_argument("--out", type=Path, default=Path("augmentation.png"), metavar="PNG")


def _add_fetch(commands: Any) -> None:
    made = _add(
        commands, "fetch", _fetch, "download data or a published network, checked by SHA-256"
    )
    made.add_argument("what", choices=("speech-commands", "whisper-tiny.en", "yamnet"))
    made.add_argument(
        "--version",
        "--data-version",
        dest="data_version",
        default="0.02",
        choices=("0.01", "0.02"),
        help="of Speech Commands (default: 0.02)",
    )
    made.add_argument("--out", type=Path, default=Path("data"), metavar="DIR")
    made.add_argument("--url", help="another place to download the same file from")
    made.add_argument("--sha256", help="of a file that is packed differently, with --url")


def _hard_negatives(arguments: argparse.Namespace) -> int:
    from training.cli.terminal import progress_bar
    from training.config.run_folder import RunFolder
    from training.fit.hard_negatives import find_hard_negatives

    n_found = find_hard_negatives(
        RunFolder(arguments.run),
        arguments.out,
        least=arguments.least,
        progress=progress_bar("searching speech"),
    )
    print(f"{arguments.out}: {n_found} windows")
    return 0


def _recipes(arguments: argparse.Namespace) -> int:
    from training.config import recipe as recipes

    rows: list[dict[str, Any]] = []
    for name in recipes.names():
        recipe = recipes.load(name)
        trained_on = recipe.transfer.backbone
        row: dict[str, Any] = {
            "name": name,
            "model": trained_on or recipe.model.name,
            "description": recipe.description,
        }
        # The cost of a backbone is in its file, which may be absent.
        has_cost = arguments.table and not trained_on
        rows.append({**row, **_cost(recipe)} if has_cost else row)
    if arguments.json:
        program.print_json({"recipes": rows})
        return 0
    for row in rows:
        cost = ""
        if "parameters" in row:
            millions = row["multiplications"] / 1e6
            cost = f"{row['parameters']:>9,} parameters {millions:>7.2f} M MACs  "
        print(f"{row['name']:<16} {row['model']:<14} {cost}{row['description']}")
    return 0


def _cost(recipe: Recipe) -> dict[str, int]:
    from training.architectures.recipe_model import build_model, n_macs, n_parameters

    model = build_model(recipe)
    return {"parameters": n_parameters(model), "multiplications": n_macs(model)}


def _show(arguments: argparse.Namespace) -> int:
    from training.cli.terminal import check_picture

    check_picture(arguments.out, "--out")
    from training.batches.preview import draw_augmentation

    draw_augmentation(load_recipe(arguments), arguments.out)
    print(arguments.out)
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from training.datasets.download import fetch_speech_commands, fetch_whisper, fetch_yamnet

    mirror = {"url": arguments.url, "sha256": arguments.sha256}
    if arguments.what == "yamnet":
        print(fetch_yamnet(arguments.out, **mirror))
    elif arguments.what == "whisper-tiny.en":
        print(fetch_whisper(arguments.out, **mirror))
    else:
        print(fetch_speech_commands(arguments.out, version=arguments.data_version, **mirror))
    return 0


if __name__ == "__main__":
    sys.exit(main())
