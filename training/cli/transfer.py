"""`kws-train transfer`: a small classifier on the embeddings of a trained network."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import program
from training.cli.recipe_arguments import add_recipe_arguments, load_recipe

if TYPE_CHECKING:
    from training.config.recipe import Recipe
    from training.config.sections import TransferConfig
    from training.embedding.backbone import Backbone
    from training.transfer.pipeline import TransferData

EXAMPLES = """\
  kws-train fetch yamnet --out $KWS_DATA
  kws-train transfer yamnet-esc10 --out runs/yamnet-esc10 --export
  kws-train transfer yamnet-esc10 --out runs/yamnet-esc10-folds --folds
  kws-train transfer up-down-yamnet --out runs/up-down --set transfer.head=dense
  kws-train transfer up-down-words --out runs/up-down-words --set transfer.backbone=runs/words
"""
FOLDS = "folds.json"


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "transfer",
        examples=EXAMPLES,
        text="fit a small classifier to the embeddings of a trained network, and measure it",
    )
    add_recipe_arguments(made)
    made.set_defaults(handler=transfer)
    made.add_argument(
        "--out", type=Path, metavar="DIR", help="for scores and model (default: runs/RECIPE)"
    )
    made.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="cache of embeddings for the next head (default: embeddings beside --out)",
    )
    made.add_argument(
        "--folds", action="store_true", help="validate on each fold in turn, training on the others"
    )
    made.add_argument(
        "--export",
        action="store_true",
        help="also write backbone and head as one model; with --folds, only measure it",
    )
    made.add_argument("--model-version", default="1", help="version for the manifest (default: 1)")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def transfer(arguments: argparse.Namespace) -> int:
    """Embed all clips, fit and score the head, and export it if asked."""
    from training.cli.terminal import progress_bar
    from training.transfer.pipeline import embed_recipe

    recipe = load_recipe(arguments)
    out = arguments.out or Path("runs") / recipe.name
    data = embed_recipe(
        recipe,
        _open_backbone(recipe.transfer),
        cache=arguments.cache or out.parent / "embeddings",
        progress=progress_bar("embedding"),
    )
    result = (_folds if arguments.folds else _once)(arguments, recipe, data, out)
    if arguments.json:
        program.print_json(result)
    return 0


def _open_backbone(config: TransferConfig) -> Backbone:
    from training.embedding.backbone_sources import is_keras_backbone, open_backbone

    if is_keras_backbone(config):
        # TensorFlow takes ten seconds to import, and the other backbones need none.
        from training.embedding.keras_backbones import open_keras_backbone

        return open_keras_backbone(config)
    return open_backbone(config)


def _once(
    arguments: argparse.Namespace, recipe: Recipe, data: TransferData, out: Path
) -> dict[str, Any]:
    from training.cli.terminal import progress_bar
    from training.evaluation.clip_report import summary
    from training.evaluation.plots import draw_confusion
    from training.transfer.export import export
    from training.transfer.pipeline import score

    recipe, head, scores = score(recipe, data, out)
    lines = []
    for split, report in scores.items():
        draw_confusion(report, out / f"confusion-{split}.png")
        lines.append(summary(split, report))
    result: dict[str, Any] = {"run": str(out), "scores": scores}
    if arguments.export:
        manifest, exported = export(
            recipe,
            data,
            head,
            out,
            version=arguments.model_version,
            progress=progress_bar("exported model"),
        )
        result.update(manifest=str(manifest), exported=exported)
        lines += [
            summary(f"{exported['split']}, exported model", exported),
            f"{manifest}: posteriors within {exported['most_difference']:.6f} of the pipeline's",
        ]
    if not arguments.json:
        print(*lines, f"{out}: scores.json, predictions, confusion", sep="\n")
    return result


def _folds(
    arguments: argparse.Namespace, recipe: Recipe, data: TransferData, out: Path
) -> dict[str, Any]:
    from kws.files import write_atomically
    from training.cli.terminal import progress_bar
    from training.transfer.export import export
    from training.transfer.pipeline import fold_recipes, score

    accuracies: dict[str, float] = {}
    exported: dict[str, float] = {}
    for fold, one in fold_recipes(recipe).items():
        full, head, scores = score(one, data, out / f"fold-{fold}")
        accuracies[fold] = scores["validation"]["accuracy"]
        if arguments.export:
            with tempfile.TemporaryDirectory() as folder:
                _, report = export(
                    full, data, head, Path(folder), progress=progress_bar(f"fold {fold}")
                )
            exported[fold] = report["accuracy"]
    result: dict[str, Any] = {"folds": accuracies, "mean": _mean(accuracies)}
    if exported:
        result.update(exported_folds=exported, exported_mean=_mean(exported))
    text = json.dumps(result, indent=2) + "\n"
    write_atomically(out / FOLDS, text)
    if not arguments.json:
        print(_line("folds", accuracies))
        if exported:
            print(_line("folds, exported model", exported))
        print(f"{out}: {FOLDS}, and one folder per fold")
    return result


def _mean(accuracies: dict[str, float]) -> float:
    return sum(accuracies.values()) / len(accuracies)


def _line(name: str, accuracies: dict[str, float]) -> str:
    each = ", ".join(f"{fold}: {100 * value:.1f}" for fold, value in accuracies.items())
    return f"{name}: {each}; mean {100 * _mean(accuracies):.1f} %"
