"""Export backbone and head as one model for the runtime, checked against the pipeline."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws import __version__
from kws.features.frontends import ClipFeatures, decimation_factor
from kws.files import sha256
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, WindowForm, write_manifest
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.embedding.attach_head import attach_head
from training.embedding.heads import Head
from training.evaluation.metrics import classification_report
from training.tflite.graph import Graph
from training.tflite.stream_export import ParityError
from training.transfer.embeddings import Progress, windows_of
from training.transfer.pipeline import TransferData, clip_means

FloatArray = NDArray[np.float32]


def export(
    recipe: Recipe,
    data: TransferData,
    head: Head,
    out: Path,
    *,
    version: str = "1",
    progress: Progress = list,
) -> tuple[Path, dict[str, Any]]:
    """Write ``out/NAME.tflite`` and ``out/NAME.json``; return the manifest's path and metrics.

    The model is run in the runtime on every window of the testing (else validation) clips first.

    Raises
    ------
    ParityError
        If a posterior differs by more than ``transfer.tolerance``.
    """
    split = open_task(recipe).class_data()
    name = "testing" if split.clips("testing") else "validation"
    clips = split.clips(name)
    rows, _ = data.examples(split.clips("training"))
    content = attach_head(data.backbone.content, head, rows, where=data.backbone.name)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kws-", dir=out) as folder:
        manifest = describe(recipe, data, content, version=version)
        manifest = replace(manifest, path=Path(folder) / f"{recipe.name}.json")
        file = manifest.path.parent / manifest.window.file
        file.write_bytes(content)
        posteriors, counts = predict(
            manifest, data, clips, short=recipe.transfer.short, progress=progress
        )
        difference = check_parity(recipe, data, head, posteriors, clips)
        truth = [split.labels.index(clip.label) for clip in clips]
        predicted = clip_means(posteriors, counts).argmax(axis=1)
        report = classification_report(truth, predicted, split.labels)
        figures = {
            "data": f"{Path(recipe.data.clips).name}, {len(split.labels)} classes",
            "split": name,
            "command": f"kws-train transfer {recipe.name} --export",
            "posterior_of_a_clip": "mean over its windows",
            "most_difference_from_pipeline": difference,
            **{key: report[key] for key in ("n", "accuracy", "per_label")},
        }
        write_manifest(replace(manifest, metrics=figures), manifest.path)
        file.replace(out / file.name)
        manifest.path.replace(out / manifest.path.name)
    return out / f"{recipe.name}.json", {**report, "most_difference": difference, "split": name}


def predict(
    manifest: ModelManifest,
    data: TransferData,
    clips: Sequence[Any],
    *,
    short: str,
    progress: Progress = list,
) -> tuple[FloatArray, list[int]]:
    """Return the exported model's posteriors, through the runtime's own front end.

    Returns
    -------
    posteriors : ndarray of float32, shape (n_windows, n_labels)
        Clip after clip.
    counts : list of int
        Number of windows of each clip.
    """
    backbone = data.backbone
    model = WindowModel(manifest, hop_frames=1)
    features = ClipFeatures(manifest.frontend)
    shape = manifest.frontend.shape(model.window_frames)
    found, counts = [], []
    for clip in progress(clips):
        windows = windows_of(
            clip.read(),
            n_samples=backbone.window_samples,
            hop_samples=backbone.hop_samples,
            short=short,
        )
        counts.append(len(windows))
        for window in windows:
            frames = features(window)[: model.window_frames]
            found.append(model.predict(frames.reshape(shape)))
    return np.stack(found), counts


def check_parity(
    recipe: Recipe, data: TransferData, head: Head, posteriors: FloatArray, clips: Sequence[Any]
) -> float:
    """Return the largest difference of the model's posteriors from the pipeline's.

    Raises
    ------
    ParityError
        If it is more than ``transfer.tolerance``.
    """
    expected = head.posteriors(np.concatenate(data.rows(clips)))
    difference = float(np.abs(posteriors - expected).max())
    if not difference <= recipe.transfer.tolerance:
        raise ParityError(
            f"{recipe.name}: expected posteriors of the exported model within "
            f"{recipe.transfer.tolerance:g} of the pipeline's, got {difference:.4f}; for int8 "
            "layers use transfer.head = 'logistic' and transfer.tolerance = 0.1"
        )
    return difference


def describe(recipe: Recipe, data: TransferData, content: bytes, *, version: str) -> ModelManifest:
    """Return the manifest, without metrics."""
    backbone = data.backbone
    table = recipes.to_table(recipe)
    split = open_task(recipe).class_data()
    kept = ("name", "description", "seed", "data", "source", "transfer")
    return ModelManifest(
        name=recipe.name,
        version=version,
        description=f"{recipe.description}. {_arithmetic(content)}",
        licence=recipe.data.licence if recipe.data.licence != "not stated" else backbone.licence,
        attribution=tuple(dict.fromkeys((*backbone.attribution, *recipe.data.attribution))),
        labels=split.labels,
        frontend=backbone.frontend,
        window=WindowForm(
            file=f"{recipe.name}.tflite",
            sha256=sha256(content),
            window_samples=backbone.window_samples // decimation_factor(backbone.frontend),
            window_frames=backbone.window_frames,
        ),
        decision=recipe.decision,
        training={
            "recipe": {key: table[key] for key in kept},
            "seed": recipe.seed,
            **backbone.origin,
            "data": {recipe.data.clips: {"training_clips": len(split.clips("training"))}},
            "versions": {"kws": __version__, "python": platform.python_version()},
            "date": date.today().isoformat(),
        },
    )


def _arithmetic(content: bytes) -> str:
    """Return whether the model computes in int8 or float32, as a sentence."""
    graph = Graph(content, where="model")
    ends = [bool(graph.scale_and_zero_point(i)[0]) for i in (graph.inputs[0], graph.outputs[0])]
    if all(ends):
        return "Int8 throughout"
    return "Int8 up to the averaged layers, float32 after" if any(ends) else "Float32, not int8"
