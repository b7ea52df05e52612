"""Turn a trained run into int8 TFLite and a manifest, and prove that nothing was lost."""

from __future__ import annotations

import hashlib
import logging
import platform
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import kws
from kws.config import FrontendConfig
from kws.errors import KwsError
from kws.files import write_atomically
from kws.manifest import ModelManifest, WindowForm, write_manifest
from training.architectures.recipe_model import build_model
from training.batches.picture_tree import on_audio
from training.batches.task import Task, open_task
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.evaluation.clips import ClipScorer
from training.evaluation.metrics import classification_report
from training.tflite.convert import convert_float, convert_int8
from training.tflite.stream_export import StreamDiffersError, add_streaming_model, stream_file
from training.tflite.stream_plan import NotStreamableError

logger = logging.getLogger(__name__)
# Between posteriors through the training's features and the runtime's own: the two FFTs differ in
# the last bits, so a feature can fall on the other side of an int8 step and move a near-tie.
MAX_FEATURE_DIFFERENCE = 0.05
# Laid end to end for the comparison of both forms: enough for every state to matter.
MIN_CLIPS = 10


class ParityError(KwsError, RuntimeError):
    """The exported model does not do what the trained one did."""


def export(
    run: RunFolder,
    out: Path,
    *,
    name: str | None = None,
    version: str = "1",
    as_float: bool = False,
) -> Path:
    """Write ``out/NAME.tflite``, ``out/NAME.stream.tflite`` and ``out/NAME.json`` from a run.

    The weights are the best of the run. Returns the manifest's path. Files appear only when
    every check has passed; a network that cannot stream has the window form alone. With
    `as_float` nothing is quantized: four times the size, to compare with.

    Raises
    ------
    ParityError
        If int8 loses too much accuracy, or the runtime computes something else.
    """
    # A network that learned from pictures draws them itself from here on.
    task = open_task(on_audio(run.read_recipe()))
    recipe = task.recipe
    name = name or recipe.name
    model = build_model(recipe)
    if not run.best.is_file():
        raise KwsError(f"{run.path}: no {run.best.name}; train at least one epoch first")
    model.load_weights(run.best)
    if as_float:
        content = convert_float(model)
    else:
        logger.info("quantizing with %d calibration clips", recipe.export.calibration_clips)
        content = convert_int8(model, task.calibration_features())
    out.mkdir(parents=True, exist_ok=True)
    staging = out / f".{name}.staging"
    staging.mkdir(exist_ok=True)
    try:
        manifest = _manifest(task, model, content, name=name, version=version)
        (staging / manifest.window.file).write_bytes(content)
        manifest = replace(manifest, path=staging / f"{name}.json")
        manifest = replace(manifest, metrics=check_parity(model, manifest, task))
        _write(manifest, task, out)
    finally:
        for leftover in staging.iterdir():
            leftover.unlink()
        staging.rmdir()
    logger.info("%s: %d bytes", out / manifest.window.file, len(content))
    return out / f"{name}.json"


def _write(manifest: ModelManifest, task: Task, out: Path) -> None:
    """Write both forms and the manifest; without a stream form, say why there is none."""
    config = task.recipe.export
    if config.hop_frames:
        clips = task.clips("validation")[: max(MIN_CLIPS, config.parity_clips)]
        frames = np.concatenate([ClipScorer.open(manifest).features(clip) for clip in clips])
        try:
            add_streaming_model(manifest, frames, hop_frames=config.hop_frames, out=out)
            return
        except StreamDiffersError as error:
            raise StreamDiffersError(
                f"{error}; --set export.hop_frames=0 in training, or hop_frames 0 in the run's "
                "recipe.json, exports the window form alone"
            ) from error
        except NotStreamableError as error:
            logger.warning("window form only: %s", error)
    content = manifest.read_form(manifest.window)
    # One of an earlier export belongs to other weights.
    (out / stream_file(manifest)).unlink(missing_ok=True)
    write_atomically(out / manifest.window.file, content)
    write_manifest(manifest, out / f"{manifest.name}.json")


def check_parity(model: keras.Model, manifest: ModelManifest, task: Task) -> dict[str, Any]:
    """Return validation metrics of the int8 model in the runtime, compared with the float one.

    Raises
    ------
    ParityError
        If accuracy drops by more than the recipe allows, or the runtime's own path from
        samples to posterior differs from the one through the training features.
    """
    recipe, labels = task.recipe, task.labels
    clips = task.clips("validation")
    truth = task.truth(clips)
    features = task.features(clips)
    of_float = model.predict(features, batch_size=256, verbose=0)
    scorer = ClipScorer.open(manifest)
    of_int8 = scorer.posteriors(clips)
    mean, std = np.float32(recipe.frontend.mean), np.float32(recipe.frontend.std)
    sample = range(0, len(clips), max(1, len(clips) // recipe.export.parity_clips))
    through_training = np.stack([scorer.model.predict(features[i] * std + mean) for i in sample])
    difference = float(np.abs(through_training - of_int8[list(sample)]).max())
    report = classification_report(truth, of_int8.argmax(axis=1), labels)
    accuracy_float = float(np.mean(of_float.argmax(axis=1) == np.asarray(truth)))
    loss = accuracy_float - report["accuracy"]
    agreement = float(np.mean(of_float.argmax(axis=1) == of_int8.argmax(axis=1)))
    logger.info(
        "validation: trained %.2f %%, exported %.2f %%, same label %.2f %%, "
        "features differ by %.4f",
        100 * accuracy_float,
        100 * report["accuracy"],
        100 * agreement,
        difference,
    )
    if loss > recipe.export.max_accuracy_loss:
        raise ParityError(
            f"int8 loses {100 * loss:.2f} points of validation accuracy "
            f"({100 * accuracy_float:.2f} to {100 * report['accuracy']:.2f} %), at most "
            f"{100 * recipe.export.max_accuracy_loss:.2f} are allowed; "
            "calibrate with more clips or train longer"
        )
    if difference > MAX_FEATURE_DIFFERENCE:
        raise ParityError(
            f"the runtime's features differ from the training's: posteriors by {difference:.3f}"
        )
    return {
        "data": task.describe(),
        "split": "validation",
        "command": f"kws-eval clips --model {manifest.name} --data {recipe.data.clips} "
        "--split validation",
        "accuracy_float": accuracy_float,
        "same_label_as_float": agreement,
        **{key: report[key] for key in ("n", "accuracy", "per_label")},
    }


def _manifest(
    task: Task, model: keras.Model, content: bytes, *, name: str, version: str
) -> ModelManifest:
    recipe = task.recipe
    frontend: FrontendConfig = recipe.frontend
    table = recipes.to_table(recipe)
    return ModelManifest(
        name=name,
        version=version,
        description=recipe.description,
        licence=recipe.data.licence,
        attribution=tuple(recipe.data.attribution),
        labels=recipe.data.labels,
        frontend=frontend,
        window=WindowForm(
            file=f"{name}.tflite",
            sha256=hashlib.sha256(content).hexdigest(),
            window_samples=recipe.window_samples,
            window_frames=recipe.model.window_frames,
        ),
        decision=recipe.decision,
        training={
            "recipe": {key: table[key] for key in table if key not in ("frontend", "decision")},
            "seed": recipe.seed,
            "data": task.data_counts(),
            "parameters": int(model.count_params()),
            "versions": {
                "kws": kws.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "date": date.today().isoformat(),
        },
    )
