"""Hard negatives: windows of keyword-free speech that a trained network takes for keywords.

The network is right about nearly all random seconds of speech, so they add little to training.
Training on the few it gets wrong lowers the false accepts in running speech.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kws.files import write_atomically
from training.architectures.recipe_model import trained_model
from training.batches.features import FeatureMaker
from training.batches.task import open_task
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.datasets.aligned_speech import HARD_COLUMNS, Utterance
from training.datasets.clips import Clip
from training.distillation.embedded_clips import with_encoder

HOP_MS = 100


def find_hard_negatives(
    run: RunFolder,
    out: Path,
    *,
    least: float = 0.3,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> int:
    """Write a table of the false keywords in the recipe's running speech; return how many.

    Parameters
    ----------
    run : RunFolder
        A trained run; its best weights are used.
    out : Path
        Table to write: file below the speech folder, start sample, keyword, posterior.
    least : float
        Smallest posterior that counts, 0..1. Lower values find more and easier negatives.
    progress : callable
        Wraps the utterances to show progress.

    Raises
    ------
    ConfigError
        If the recipe names no running speech, or is a classification task.
    KwsError
        If the run has no weights yet.
    """
    recipe = run.read_recipe()
    speech = open_task(recipe).keyword_free_speech()
    root = recipe.data.path("speech")
    assert root is not None
    model = with_encoder(trained_model(run), recipe)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HARD_COLUMNS)
    n_found = 0
    for utterance, spans in progress(speech):
        for start, keyword, score in _false_keywords(utterance, spans, model, recipe, least=least):
            file = utterance.path.relative_to(root).as_posix()
            writer.writerow((file, start, keyword, f"{score:.3f}"))
            n_found += 1
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text.getvalue())
    return n_found


def _false_keywords(
    utterance: Utterance,
    spans: Sequence[tuple[int, int]],
    model: keras.Model,
    recipe: Recipe,
    *,
    least: float,
) -> list[tuple[int, str, float]]:
    """Return start sample, keyword and posterior of the false keywords in keyword-free spans."""
    keywords = recipe.data.keywords
    samples = Clip(utterance.path, "").read()
    config, n_frames = recipe.frontend, recipe.model.window_frames
    frames = FeatureMaker(config).frames(samples)
    # Samples at the rate of the recording; the front end's may be a fraction of it.
    factor = recipe.clip_rate // config.sample_rate
    step = config.frame_step_samples * factor
    n_samples = config.n_samples(n_frames) * factor
    hop_frames = max(1, round(HOP_MS / config.frame_step_ms))
    starts = [
        first
        for low, high in spans
        for first in range(-(-low // step), high // step, hop_frames)
        if first * step + n_samples <= high
    ]
    if not starts:
        return []
    windows = np.stack([frames[first : first + n_frames] for first in starts])
    windows = windows.reshape(len(starts), *config.shape(n_frames))
    posteriors = model.predict_on_batch(windows)[:, : len(keywords)]
    best = posteriors.argmax(axis=1)
    return [
        (first * step, keywords[label], float(row[label]))
        for first, label, row in zip(starts, best, posteriors)
        if row[label] >= least
    ]
