"""Export a trained run as int8 TFLite with a manifest, after checking that it kept its accuracy."""

from __future__ import annotations

import logging
import platform
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import kws
from kws.config import SILENCE, UNKNOWN
from kws.errors import ConfigError
from kws.files import sha256, write_atomically
from kws.manifest import ModelManifest, WindowForm, write_manifest
from training.architectures.recipe_model import trained_model
from training.batches.picture_tree import on_audio
from training.batches.task import Task, open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.distillation.embedded_clips import with_encoder
from training.evaluation.clips import ClipScorer
from training.evaluation.metrics import classification_report
from training.tflite.convert import convert_float, convert_int8
from training.tflite.stream_export import ParityError, add_streaming_model, stream_file
from training.tflite.stream_plan import NotStreamableError

logger = logging.getLogger(__name__)
# Between posteriors from the features of training and those of the runtime: the two FFTs differ in
# the last bits, so a feature can be rounded to another int8 step.
MAX_FEATURE_DIFFERENCE = 0.05
# Concatenated to compare the streaming model on: enough for every state to be used.
MIN_CLIPS = 10
LOGITS = "logits"


def export(
    run: RunFolder,
    out: Path,
    *,
    name: str | None = None,
    version: str = "1",
    as_float: bool = False,
    hop_frames: int | None = None,
) -> Path:
    """Write ``out/NAME.tflite``, ``out/NAME.stream.tflite`` and ``out/NAME.json`` from a run.

    Files appear only when every check has passed.

    Parameters
    ----------
    run : RunFolder
        Its best weights are exported.
    out : Path
        The folder to write to.
    name, version : str
        For the manifest; by default the recipe's name, and ``1``.
    as_float : bool
        Write float32 instead of int8, four times the size, to compare with.
    hop_frames : int, optional
        New frames in each step of the streaming model, 0 for none; by default the recipe's. A
        network that cannot stream is exported without one.

    Returns
    -------
    path : Path
        The manifest.

    Raises
    ------
    ParityError
        If int8 loses too much accuracy, or the runtime computes other posteriors.
    """
    # A network that was trained on pictures draws them itself from here on.
    task = open_task(on_audio(run.read_recipe()))
    recipe = task.recipe
    name = name or recipe.name
    model = trained_model(run, recipe)
    if recipe.export.prior_correction:
        correct_prior(model, recipe)
    model = with_encoder(model, recipe)
    if as_float:
        content = convert_float(model)
    else:
        logger.info("quantizing with %d calibration clips", recipe.export.calibration_clips)
        content = convert_int8(model, task.calibration_features())
    out.mkdir(parents=True, exist_ok=True)
    hop_frames = recipe.export.hop_frames if hop_frames is None else hop_frames
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as folder:
        manifest = _manifest(task, model, content, name=name, version=version)
        (Path(folder) / manifest.window.file).write_bytes(content)
        manifest = replace(manifest, path=Path(folder) / f"{name}.json")
        manifest = replace(manifest, metrics=check_parity(model, manifest, task))
        _write(manifest, task, out, hop_frames=hop_frames)
    logger.info("%s: %d bytes", out / manifest.window.file, len(content))
    return out / f"{name}.json"


def correct_prior(model: keras.Model, recipe: Recipe) -> None:
    """Take the labels' shares in training out of the bias of the layer ``logits``.

    Raises
    ------
    ConfigError
        If the recipe has no keywords, or the network no such layer.
    """
    names = {layer.name for layer in model.layers}
    if recipe.source.kind or LOGITS not in names:
        raise ConfigError(
            f"export.prior_correction: expected a keyword model with a layer {LOGITS!r}; "
            "set it to 0"
        )
    shares = np.ones(len(recipe.data.labels))
    shares[recipe.data.labels.index(UNKNOWN)] = recipe.data.unknown_weight
    shares[recipe.data.labels.index(SILENCE)] = recipe.data.silence_weight
    weights, bias = model.get_layer(LOGITS).get_weights()
    bias -= recipe.export.prior_correction * np.log(np.maximum(shares, 1e-6)).astype(bias.dtype)
    model.get_layer(LOGITS).set_weights([weights, bias])


def _write(manifest: ModelManifest, task: Task, out: Path, *, hop_frames: int) -> None:
    """Write both models and the manifest; warn if there is no streaming model."""
    if hop_frames:
        clips = task.clips("validation")[: max(MIN_CLIPS, task.recipe.export.parity_clips)]
        scorer = ClipScorer.open(manifest)
        frames = np.concatenate([scorer.features(clip) for clip in clips])
        try:
            add_streaming_model(manifest, frames, hop_frames=hop_frames, out=out)
            return
        except ParityError as error:
            raise ParityError(
                f"{error}; --hop-frames 0 exports the non-streaming model alone"
            ) from error
        except NotStreamableError as error:
            logger.warning("non-streaming model only: %s", error)
    content = manifest.read_form(manifest.window)
    # A streaming model of an earlier export has other weights.
    (out / stream_file(manifest)).unlink(missing_ok=True)
    write_atomically(out / manifest.window.file, content)
    write_manifest(manifest, out / f"{manifest.name}.json")


def check_parity(model: keras.Model, manifest: ModelManifest, task: Task) -> dict[str, Any]:
    """Return validation metrics of the int8 model in the runtime, compared with the float one.

    Raises
    ------
    ParityError
        If accuracy drops by more than the recipe allows, or the features of the runtime lead to
        other posteriors than those of training.
    """
    recipe, labels = task.recipe, task.labels
    clips = task.clips("validation")
    truth, features = task.truth(clips).tolist(), task.features(clips)
    of_float = model.predict(features, batch_size=256, verbose=0)
    scorer = ClipScorer.open(manifest)
    of_int8 = scorer.posteriors(clips)
    mean, std = np.float32(recipe.frontend.mean), np.float32(recipe.frontend.std)
    sample = range(0, len(clips), max(1, len(clips) // recipe.export.parity_clips))
    through_training = np.stack([scorer.model.predict(features[i] * std + mean) for i in sample])
    difference = float(np.abs(through_training - of_int8[list(sample)]).max())
    report = classification_report(truth, of_int8.argmax(axis=1), labels)
    accuracy_float = float(np.mean(of_float.argmax(axis=1) == np.asarray(truth)))
    agreement = float(np.mean(of_float.argmax(axis=1) == of_int8.argmax(axis=1)))
    logger.info("validation: same label as the trained network at %.2f %%", 100 * agreement)
    _require_parity(accuracy_float, report["accuracy"], difference, recipe)
    return {
        "data": task.describe(),
        "split": "validation",
        "command": f"kws-eval clips --model {manifest.name} --data {recipe.data.clips} "
        "--split validation",
        "accuracy_float": accuracy_float,
        "same_label_as_float": agreement,
        **{key: report[key] for key in ("n", "accuracy", "per_label")},
    }


def _require_parity(trained: float, exported: float, difference: float, recipe: Recipe) -> None:
    """Raise `ParityError` if accuracies, or posteriors from both kinds of features, are apart."""
    allowed = recipe.export.max_accuracy_loss
    logger.info(
        "validation: accuracy of the trained network %.2f %%, exported %.2f %%; posteriors from "
        "the features of training and runtime differ by %.4f",
        100 * trained,
        100 * exported,
        difference,
    )
    if trained - exported > allowed:
        raise ParityError(
            f"int8 loses {100 * (trained - exported):.2f} points of validation accuracy "
            f"({100 * trained:.2f} to {100 * exported:.2f} %), at most {100 * allowed:.2f} are "
            "allowed; calibrate with more clips or train longer"
        )
    if difference > MAX_FEATURE_DIFFERENCE:
        raise ParityError(
            f"the runtime's features differ from the training's: posteriors by {difference:.3f}, "
            f"at most {MAX_FEATURE_DIFFERENCE} is allowed"
        )


def _manifest(
    task: Task, model: keras.Model, content: bytes, *, name: str, version: str
) -> ModelManifest:
    recipe = task.recipe
    table = recipes.to_table(recipe)
    return ModelManifest(
        name=name,
        version=version,
        description=recipe.description,
        licence=recipe.data.licence,
        attribution=tuple(recipe.data.attribution),
        labels=recipe.data.labels,
        frontend=recipe.frontend,
        window=WindowForm(
            file=f"{name}.tflite",
            sha256=sha256(content),
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
