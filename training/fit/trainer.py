"""Train a network by a recipe: resumable, logged, best weights by validation accuracy."""

from __future__ import annotations

import logging
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.architectures.recipe_model import build_model, n_outputs, trained_model
from training.batches.task import Task, open_task
from training.config.cluster import ALONE, Cluster
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.distillation.embedded_clips import network_input
from training.evaluation.clip_report import SCORES, write_scores
from training.fit.callbacks import averaging, make_callbacks, stopped_early
from training.fit.distributed import Workers
from training.fit.initial_weights import freeze, load_initial_weights
from training.fit.optimizer import compile_model, keep_freed_memory, warn_of_long_average
from training.fit.prefetch import BatchPrefetcher

logger = logging.getLogger(__name__)
FloatArray = NDArray[np.float32]
WORKER_TIMEOUT_S = 600.0


def fit(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    verbose: int = 2,
    cluster: Cluster = ALONE,
    timeout_s: float = WORKER_TIMEOUT_S,
) -> RunFolder:
    """Train by `recipe` into the folder `out` and return it.

    Parameters
    ----------
    recipe : Recipe
        Data, model and settings; its seed fixes every draw.
    out : Path
        Folder for the run; made if it does not exist. Of several workers only the chief uses it.
    resume : bool
        Continue after the last finished epoch of the run in `out`.
    verbose : int
        As for Keras: 0 silent, 1 progress bar, 2 a line per epoch.
    cluster : Cluster
        The workers that train together, from TF_CONFIG; every worker calls `fit` alike.
    timeout_s : float
        Longest wait for the other workers at the start.

    Raises
    ------
    ConfigError
        If `out` holds another run, or data are missing.
    WorkerError
        If another worker is missing or lost, or trains by another recipe.
    """
    # Whatever can fail without the other workers comes before waiting for them.
    task = open_task(recipe, measure=True)
    recipe, run = task.recipe, RunFolder(out)
    if cluster.is_chief:
        run.check(recipe, resume=resume)
    task.check()
    workers = _join(recipe, cluster, timeout_s=timeout_s) if cluster.n_workers > 1 else None
    # A seed per worker: dropout masks differ. The initial weights are the chief's everywhere.
    keras.utils.set_random_seed(recipe.seed + cluster.index)
    keep_freed_memory()
    model, first_epoch = _model(recipe, run, is_chief=cluster.is_chief)
    if cluster.is_chief and stopped_early(recipe, run):
        first_epoch = recipe.fit.epochs
    if workers:
        workers.copy_from_chief(model)
        first_epoch = int(workers.sum([first_epoch if cluster.is_chief else 0])[0])
    if first_epoch < recipe.fit.epochs:
        _train(model, task, run, workers, first_epoch=first_epoch, verbose=verbose)
    else:
        logger.info("%s: training has finished", out)
    if cluster.is_chief:
        _score(task, run)
    return run


def _join(recipe: Recipe, cluster: Cluster, *, timeout_s: float) -> Workers:
    if recipe.fit.batch_size < cluster.n_workers:
        raise ConfigError(
            f"fit.batch_size: expected at least {cluster.n_workers}, one clip per worker, "
            f"got {recipe.fit.batch_size}"
        )
    workers = Workers(cluster, timeout_s=timeout_s)
    workers.check_recipe(recipe)
    return workers


def _train(
    model: keras.Model,
    task: Task,
    run: RunFolder,
    workers: Workers | None,
    *,
    first_epoch: int,
    verbose: int,
) -> None:
    """Train the epochs that are left."""
    recipe, config = task.recipe, task.recipe.fit
    cluster = workers.cluster if workers else ALONE
    validation = validation_arrays(task, cluster)
    if cluster.is_chief:
        logger.info("%s: %d parameters", recipe.model.name, model.count_params())
        warn_of_long_average(recipe)
        run.start(recipe)
    callbacks = keras.callbacks.CallbackList(
        make_callbacks(recipe, run) if cluster.is_chief else averaging(recipe),
        add_history=True,
        add_progbar=cluster.is_chief and verbose != 0,
        model=model,
        verbose=verbose,
        epochs=config.epochs,
        steps=config.steps_per_epoch,
    )
    with BatchPrefetcher(task, cluster) as prefetcher:
        batches = prefetcher.batches(first_epoch)
        if workers:
            epochs = range(first_epoch, config.epochs)
            workers.fit(
                model, batches, validation, callbacks, epochs=epochs, n_labels=len(task.labels)
            )
            return
        model.fit(
            batches,
            steps_per_epoch=config.steps_per_epoch,
            epochs=config.epochs,
            initial_epoch=first_epoch,
            validation_data=validation,
            validation_batch_size=256,
            callbacks=callbacks,
            shuffle=False,
            verbose=verbose,
        )


def _model(recipe: Recipe, run: RunFolder, *, is_chief: bool) -> tuple[keras.Model, int]:
    """Return the compiled network and the epoch to start with."""
    if not (is_chief and run.state.is_file()):
        return initial_model(recipe, weights=is_chief), 0
    model = keras.models.load_model(run.state)
    state = [variable.numpy() for variable in model.optimizer.variables]
    # Again, because Keras does not save which variables are exempt from weight decay.
    compile_model(model, recipe)
    for variable, value in zip(model.optimizer.variables, state):
        variable.assign(value)
    return model, int(model.optimizer.iterations.numpy()) // recipe.fit.steps_per_epoch


def initial_model(recipe: Recipe, *, weights: bool = True) -> keras.Model:
    """Return the compiled network before its first step.

    `weights` false skips ``fit.start_from``, which only the chief needs to have on its disk.
    """
    model = build_model(recipe)
    if weights:
        load_initial_weights(model, recipe)
    freeze(model, recipe.fit.frozen_layers)
    compile_model(model, recipe)
    return model


def _score(task: Task, run: RunFolder) -> None:
    """Score the best weights on the task's splits, if that is not done yet."""
    if not task.scored_splits or (run.path / SCORES).is_file():
        return
    model = trained_model(run)
    write_scores(
        task,
        run.path,
        lambda clips: model.predict(network_input(task, clips), batch_size=64, verbose=0)[
            :, : len(task.labels)
        ],
    )


def validation_arrays(task: Task, cluster: Cluster = ALONE) -> tuple[FloatArray, FloatArray]:
    """Return the network's input and targets for this worker's validation clips.

    The targets are as long as the network's output; features to distil are unknown here, and 0.
    """
    clips = task.clips("validation")
    clips = clips[cluster.rows(len(clips))]
    targets = task.targets(clips)
    padding = n_outputs(task.recipe) - len(task.labels)
    return network_input(task, clips), np.pad(targets, ((0, 0), (0, padding)))
