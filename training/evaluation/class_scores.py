"""How a trained network does on the clips of a plain classification: figures, predictions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.files import write_atomically
from training.batches.task import Task
from training.evaluation import metrics
from training.evaluation.predictions import write_predictions

logger = logging.getLogger(__name__)
Predict = Callable[[list[Any]], NDArray[np.float32]]
# Features of so many clips are held at once.
CLIPS_AT_ONCE = 512
SCORES = "scores.json"


def write_scores(task: Task, out: Path, predict: Predict) -> dict[str, Any]:
    """Write ``scores.json`` and ``predictions-SPLIT.csv`` of validation and testing.

    Parameters
    ----------
    task : Task
        Its `scored_splits` are scored.
    out : Path
        The run's folder.
    predict : callable
        From a list of clips to posteriors ``(n_clips, n_labels)``.

    Returns
    -------
    scores : dict
        By split what `metrics.classification_report` gives; a split without clips is left out.
    """
    root = task.recipe.data.root()
    scores = {}
    for split in task.scored_splits:
        clips = task.clips(split)
        if not clips:
            continue
        posteriors = np.concatenate(
            [
                predict(clips[start : start + CLIPS_AT_ONCE])
                for start in range(0, len(clips), CLIPS_AT_ONCE)
            ]
        )
        truth = task.truth(clips)
        report = metrics.classification_report(truth, metrics.argmax(posteriors), task.labels)
        scores[split] = report
        write_predictions(
            clips, posteriors, task.labels, root=root, path=out / f"predictions-{split}.csv"
        )
        logger.info("%s", summary(split, report))
    text = json.dumps(scores, indent=2) + "\n"
    write_atomically(out / SCORES, text)
    return scores


def summary(name: str, report: dict[str, Any]) -> str:
    """Return accuracy and the classes' mean precision, recall and F1 in a line."""
    macro = report["macro"]
    return (
        f"{name}: accuracy {100 * report['accuracy']:.1f} % of {report['n']}, "
        f"precision {100 * macro['precision']:.1f}, recall {100 * macro['recall']:.1f}, "
        f"F1 {100 * macro['f1']:.1f} % (means over classes)"
    )
