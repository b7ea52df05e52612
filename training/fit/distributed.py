"""Train one network with several workers: each batch is shared out, gradients are added up.

Keras 3 keeps its variables and its `fit` out of TensorFlow's multi-worker strategy. So every worker
has plain Keras variables of its own, begun alike, and a step of our own adds up gradients over all
workers before the optimizer sees them: all take the same step, and stay alike. Batch normalisation
takes its statistics over the whole batch too, so that N workers train what one would.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import keras
import numpy as np

from kws.errors import ConfigError
from training.batches.prefetch import Batch, BatchPrefetcher
from training.batches.task import Task, open_task
from training.config import recipe as recipes
from training.config.cluster import Cluster
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit import trainer as fits
from training.fit.malloc_tuning import keep_freed_memory
from training.fit.start_barrier import TeamError
from training.fit.synchronous_step import SharedStep, Sums
from training.fit.validation_shard import ValidationPart
from training.fit.worker_group import Team

logger = logging.getLogger(__name__)
TIMEOUT_S = 600.0


def fit_together(
    recipe: Recipe,
    out: Path,
    *,
    cluster: Cluster,
    resume: bool = False,
    verbose: int = 2,
    timeout_s: float = TIMEOUT_S,
) -> RunFolder:
    """Train by `recipe` with the other workers of `cluster`; the chief alone writes to `out`.

    Parameters
    ----------
    recipe, out, resume, verbose
        As for `training.fit.trainer.fit`; the same on every worker. Only the chief reads `out`.
    cluster : Cluster
        What TF_CONFIG says.
    timeout_s : float
        Longest wait for the others.

    Raises
    ------
    TeamError
        If another worker is lost, fails, or was given another recipe.
    ConfigError
        If `out` holds another run, or data are missing.
    """
    run = RunFolder(out)
    with (
        Team(cluster, timeout_s=timeout_s) as team,
        tempfile.TemporaryDirectory(prefix="kws-validation-") as folder,
    ):
        keras.utils.set_random_seed(recipe.seed)
        keep_freed_memory()
        job = team.agree(lambda: _prepare(recipe, run, cluster, Path(folder), resume=resume))
        _check_alike(team, job)
        share_state(team, job.model)
        first_epoch = int(job.model.optimizer.iterations.numpy()) // recipe.fit.steps_per_epoch
        # The chief alone has the log.
        stopped = team.gather([int(fits.stopped_early(recipe, run))])[0, 0]
        if stopped or first_epoch >= recipe.fit.epochs:
            logger.info("%s: all %d epochs are done", out, first_epoch)
        else:
            with team.agree(lambda: BatchPrefetcher(job.task, cluster)) as feeder:
                if cluster.is_chief:
                    run.start(job.recipe)
                _train(team, job, feeder, first_epoch, verbose=verbose)
        if cluster.is_chief:
            fits._score(job.task, run)
    return run


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker needs for training."""

    task: Task
    model: keras.Model
    run: RunFolder
    validation: ValidationPart

    @property
    def recipe(self) -> Recipe:
        """The task's recipe."""
        return self.task.recipe


def _prepare(
    recipe: Recipe, run: RunFolder, cluster: Cluster, folder: Path, *, resume: bool
) -> Job:
    """Do what can fail before training begins."""
    if recipe.fit.batch_size < cluster.n_workers:
        raise ConfigError(
            f"fit.batch_size: expected at least a clip for each of {cluster.n_workers} workers, "
            f"got {recipe.fit.batch_size}"
        )
    task = open_task(recipe, measure=True)
    recipe = task.recipe
    if cluster.is_chief:
        run.check(recipe, resume=resume)
        model, _ = fits._model(recipe, run)
    else:
        # The chief's weights come later: what training begins with need not lie here.
        bare = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, start_from=""))
        model = fits.fresh_model(bare)
    model.optimizer.build(model.trainable_variables)
    return Job(task, model, run, ValidationPart(task, cluster, folder))


def _check_alike(team: Team, job: Job) -> None:
    """Make sure that all workers train the same network on the same data."""
    text = json.dumps(recipes.to_table(job.recipe), sort_keys=True)
    for what, number in (
        ("recipe", zlib.crc32(text.encode())),
        ("number of validation clips", job.validation.n_clips),
    ):
        theirs = team.gather([number])[:, 0]
        if (theirs != theirs[0]).any():
            who = ", ".join(team.cluster.name(int(n)) for n in np.flatnonzero(theirs != theirs[0]))
            raise TeamError(
                f"{team.cluster.name()}: the {what} of {who} differs from the chief's; "
                "give all workers the same recipe and data"
            )


def share_state(team: Team, model: keras.Model) -> None:
    """Give every worker the chief's weights, averages and optimizer state."""
    seeds = [variable for variable in model.variables if variable.dtype == "uint32"]
    variables = [*model.weights, *model.optimizer.variables, *seeds]
    # Doubles hold every float, count and seed exactly; adding zeros changes none of them.
    mine = np.concatenate([np.ravel(variable.numpy()).astype(np.float64) for variable in variables])
    chiefs = team.add_up(mine if team.cluster.is_chief else np.zeros_like(mine))
    start = 0
    for variable in variables:
        size = int(np.prod(variable.shape))
        value = chiefs[start : start + size].reshape(variable.shape).astype(variable.dtype)
        variable.assign(value)
        start += size
    for seed in seeds:
        # Each worker's clips get dropout masks of their own.
        first, count = seed.numpy()
        seed.assign(np.array([first + np.uint32(7_919 * team.cluster.index), count], np.uint32))


def _train(
    team: Team, job: Job, feeder: BatchPrefetcher, first_epoch: int, *, verbose: int
) -> None:
    """Do what Keras' `fit` does, with the callbacks that one worker would have."""
    config, model = job.recipe.fit, job.model
    callbacks = keras.callbacks.CallbackList(
        _callbacks(job, is_chief=team.cluster.is_chief),
        add_progbar=team.cluster.is_chief and verbose != 0,
        model=model,
        verbose=verbose,
        epochs=config.epochs,
        steps=config.steps_per_epoch,
    )
    step = SharedStep(model, team, job.recipe)
    model.stop_training = False
    callbacks.on_train_begin()
    logs: dict[str, float] = {}
    batches = feeder.batches(first_epoch)
    for epoch in range(first_epoch, config.epochs):
        callbacks.on_epoch_begin(epoch)
        logs = _run_epoch(step, islice(batches, config.steps_per_epoch), callbacks)
        _stay_alike(team, model, epoch)
        callbacks.on_test_begin()
        right_and_loss = step.validate(job.validation.batches())
        callbacks.on_test_end()
        logs.update({f"val_{name}": value for name, value in right_and_loss.items()})
        callbacks.on_epoch_end(epoch, logs)
        if config.early_stop_epochs:
            model.stop_training = bool(team.gather([int(model.stop_training)])[0, 0])
        if model.stop_training:
            break
    callbacks.on_train_end(logs)


def _callbacks(job: Job, *, is_chief: bool) -> list[keras.callbacks.Callback]:
    """Return all callbacks for the chief; for the others those that write nothing."""
    callbacks = fits._callbacks(job.recipe, job.run)
    if is_chief:
        return callbacks
    kind = keras.callbacks.SwapEMAWeights
    return [callback for callback in callbacks if isinstance(callback, kind)]


def _run_epoch(
    step: SharedStep, batches: Iterator[Batch], callbacks: keras.callbacks.CallbackList
) -> dict[str, float]:
    """Train on an epoch's batches and return the means over all workers' clips."""
    sums = Sums()
    for number, (features, targets) in enumerate(batches):
        callbacks.on_train_batch_begin(number)
        sums.add(step.train(features, targets))
        callbacks.on_train_batch_end(number, sums.means())
    return sums.means()


def _stay_alike(team: Team, model: keras.Model, epoch: int) -> None:
    """Say what the weights are; take the chief's where another processor rounded otherwise."""
    number = zlib.crc32(b"".join(weight.numpy().tobytes() for weight in model.weights))
    logger.info("%s: epoch %d, weights %08x", team.cluster.name(), epoch + 1, number)
    theirs = team.gather([number])[:, 0]
    if (theirs != theirs[0]).any():
        logger.warning("epoch %d: weights differ between workers; the chief's hold", epoch + 1)
        share_state(team, model)
