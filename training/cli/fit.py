"""`kws-train fit`: train by a recipe, alone or as one of the workers of TF_CONFIG."""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import program
from kws.errors import ConfigError, KwsError
from training.cli.recipe_arguments import add_recipe_arguments, load_recipe

if TYPE_CHECKING:
    from training.config.cluster import Cluster

EXAMPLES = """\
  KWS_DATA=data kws-train fit simple --out runs/simple
  kws-train fit simple --out runs/simple --resume        after an interruption
  kws-train fit simple --out runs/short --set fit.epochs=3 --set augmentation.noise_probability=0
  kws-train fit esc10-resnet18 --set source.turn=1       environmental sounds, other folds
  tensorboard --logdir runs                              compare the learning curves of all runs
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands, "fit", examples=EXAMPLES, text="train by a recipe into a folder of its own"
    )
    add_recipe_arguments(made)
    made.set_defaults(handler=fit)
    made.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/RECIPE)")
    made.add_argument(
        "--resume", action="store_true", help="continue after the last finished epoch"
    )
    made.add_argument(
        "--worker-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for the other workers of TF_CONFIG at the start (default: 600)",
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def fit(arguments: argparse.Namespace) -> int:
    """Train and print where the weights are."""
    from training.config.cluster import read_cluster

    recipe = load_recipe(arguments)
    if recipe.transfer.backbone:
        raise ConfigError(
            f"{recipe.name}: trains a head on {recipe.transfer.backbone}, whose own weights stay; "
            f"kws-train transfer {recipe.name}"
        )
    cluster = read_cluster()
    if cluster.n_workers > 1:
        # TensorFlow reports a lost worker in many lines of its own.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from training.fit import trainer
    from training.fit.distributed import Workers

    out = arguments.out or Path("runs") / recipe.name
    try:
        # Keras reports progress on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            run = trainer.fit(
                recipe,
                out,
                resume=arguments.resume,
                verbose=1 if sys.stderr.isatty() else 2,
                cluster=cluster,
                timeout_s=arguments.worker_timeout,
            )
    except KeyboardInterrupt:
        _leave(f"stopped; continue with --out {out} --resume", program.EXIT_INTERRUPTED)
    except KwsError as error:
        if not Workers.joined:
            raise
        _leave(f"error: {error}", program.EXIT_ERROR)
    _print(run.path, run.best, cluster, as_json=arguments.json)
    return 0


def _leave(message: str, code: int) -> None:
    """End now: while it shuts down, TensorFlow waits for lost workers and for Python's lock."""
    print(f"kws-train: {message}", file=sys.stderr, flush=True)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def _print(run: Path, best: Path, cluster: Cluster, *, as_json: bool) -> None:
    if as_json:
        program.print_json({"run": str(run), "weights": str(best), "worker": cluster.index})
    elif cluster.is_chief:
        print(f"{run}: weights in {best.name}, curves in curves.png")
