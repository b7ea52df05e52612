"""`kws-train fit` as one of several workers, where TF_CONFIG names them."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kws.cli import program
from kws.errors import KwsError

if TYPE_CHECKING:
    from training.config.cluster import Cluster
    from training.config.recipe import Recipe


def add_options(fit: argparse.ArgumentParser) -> None:
    """Add what only a cluster needs."""
    fit.add_argument(
        "--worker-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for the other workers of TF_CONFIG (default: 600)",
    )


def fit(arguments: argparse.Namespace, recipe: Recipe, cluster: Cluster) -> int:
    """Train with the others; tell what came of it."""
    # TensorFlow tells a lost worker in many lines of its own.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from training.fit.distributed import fit_together

    # It counts its sums aloud, too.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)

    out = arguments.out or Path("runs") / recipe.name
    try:
        with contextlib.redirect_stdout(sys.stderr):
            run = fit_together(
                recipe,
                out,
                cluster=cluster,
                resume=arguments.resume,
                verbose=1 if sys.stderr.isatty() else 2,
                timeout_s=arguments.worker_timeout,
            )
    except KeyboardInterrupt:
        _leave(f"{cluster.name()}: stopped; go on with --out {out} --resume", 130)
    except KwsError as error:
        _leave(f"error: {error}", program.EXIT_ERROR)
    if arguments.json:
        program.print_json({"run": str(run.path), "worker": cluster.index})
    elif cluster.is_chief:
        print(f"{run.path}: weights in {run.best.name}, curves in {run.curves.name}")
    else:
        print(f"{cluster.name()}: done; the run is with {cluster.name(0)}")
    return 0


def _leave(said: str, code: int) -> None:
    """End at once: TensorFlow's own leave-taking waits for workers that are gone."""
    print(f"kws-train: {said}", file=sys.stderr, flush=True)
    os._exit(code)
