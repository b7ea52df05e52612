"""The transfer pipeline: fit a head to the embeddings of a recipe's clips and score it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.batches.task import Task, open_task
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.embedding.backbone import Backbone
from training.embedding.heads import Head, fit_classes
from training.evaluation.clip_report import write_scores
from training.transfer.embeddings import ClipEmbeddings, Progress, embed_clips

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class TransferData:
    """A recipe's clips and their embeddings."""

    backbone: Backbone
    clips: list[Any]
    embeddings: ClipEmbeddings
    average: str

    def rows(self, clips: Sequence[Any]) -> list[FloatArray]:
        """Return the embeddings ``(n_windows, size)`` of each of these clips."""
        places = {clip: index for index, clip in enumerate(self.clips)}
        return [self.embeddings.of(places[clip]) for clip in clips]

    def examples(self, clips: Sequence[Any]) -> tuple[FloatArray, list[int]]:
        """Return the rows that a head is fitted to, ``(n, size)``, and how many each clip has."""
        rows = self.rows(clips)
        if self.average == "embeddings":
            rows = [one.mean(axis=0, keepdims=True) for one in rows]
        return np.concatenate(rows), [len(one) for one in rows]

    def posteriors(self, head: Head, clips: Sequence[Any]) -> FloatArray:
        """Return the posteriors ``(n_clips, n_labels)`` of clips."""
        rows, counts = self.examples(clips)
        return clip_means(head.posteriors(rows), counts)


def clip_means(rows: FloatArray, counts: Sequence[int]) -> FloatArray:
    """Return the mean of each clip's rows."""
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    sums = np.add.reduceat(rows, starts, axis=0)
    return np.asarray(sums / np.asarray(counts)[:, None], np.float32)


def embed_recipe(
    recipe: Recipe, backbone: Backbone, *, cache: Path, progress: Progress
) -> TransferData:
    """Return the embeddings of all clips of a recipe, of every split.

    Raises
    ------
    ConfigError
        If the recipe is not for transfer, or its source cannot be read or split.
    """
    data = open_task(recipe).class_data()
    # Sorted, so that another split of the same clips finds them in the cache.
    clips = sorted((item.clip for split in data.items.values() for item in split), key=repr)
    embeddings = embed_clips(
        backbone, clips, short=recipe.transfer.short, cache=cache, progress=progress
    )
    return TransferData(backbone, clips, embeddings, recipe.transfer.average)


def fit_head(task: Task, data: TransferData) -> Head:
    """Return a head fitted to the training clips."""
    clips = task.clips("training")
    rows, counts = data.examples(clips)
    of_clips = task.truth(clips)
    if missing := set(range(len(task.labels))) - set(of_clips):
        names = ", ".join(task.labels[index] for index in sorted(missing))
        raise ConfigError(f"{task.recipe.name}: no training clip of {names}")
    labels = np.repeat(of_clips, counts)
    return fit_classes(rows, labels, task.labels, task.recipe.transfer, seed=task.recipe.seed)


def score(recipe: Recipe, data: TransferData, out: Path) -> tuple[Recipe, Head, dict[str, Any]]:
    """Fit a head and write ``recipe.json``, ``scores.json`` and the tables of predictions.

    Returns
    -------
    recipe : Recipe
        With its labels filled in.
    head : Head
    scores : dict
        The `classification_report` of each split.
    """
    task = open_task(recipe)
    head = fit_head(task, data)
    run = RunFolder(out)
    run.start(task.recipe)
    scores = write_scores(task, out, lambda clips: data.posteriors(head, clips))
    return task.recipe, head, scores


def fold_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """Return for each fold the recipe that validates on it and trains on the others.

    Raises
    ------
    ConfigError
        If the recipe's source has no folds.
    """
    if recipe.source.split != "folds":
        raise ConfigError(
            f"{recipe.name}: --folds needs source.split = 'folds', got {recipe.source.split!r}"
        )
    items = [item for split in open_task(recipe).class_data().items.values() for item in split]
    folds = sorted({item.fold for item in items}, key=lambda fold: (len(fold), fold))
    return {
        fold: replace(
            recipe,
            source=replace(recipe.source, validation_folds=(fold,), testing_folds=(), turn=0),
        )
        for fold in folds
    }
