"""Export the backbone for enrolment: a trained network without its head, in int8."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from kws.errors import ConfigError
from kws.files import sha256, write_atomically
from training import architectures as models
from training.architectures.embedding_output import pooling_layer
from training.architectures.recipe_model import trained_model
from training.batches.task import open_task
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.embedding.backbone import WordBackbone
from training.embedding.keras_backbones import embedding_model
from training.tflite.convert import convert_int8


def export_word_backbone(
    run: RunFolder, out: Path, *, name: str, version: str = "1", moments: int = 1
) -> WordBackbone:
    """Write ``NAME.tflite`` and ``NAME.json`` into `out`: features in, int8 embedding out.

    Parameters
    ----------
    run : RunFolder
    out : Path
    name, version : str
    moments : int
        Network steps that are concatenated to the embedding; 1: the mean of all steps of a clip.
        With several, a head can tell when in the window something is said, and above all that
        there was quiet before it.

    Raises
    ------
    KwsError
        If the run has no weights, or its network no global pooling.
    """
    if moments < 1:
        raise ConfigError(f"--moments: expected at least 1, got {moments}")
    recipe, model = run.read_recipe(), trained_model(run)
    features = open_task(recipe).calibration_features()
    if moments > 1:
        network = concatenated_steps(model, recipe, moments)
        n_frames = network.input_shape[1]
        # The window is longer than a clip: join each clip to the start of the next.
        features = np.concatenate([features[:-1], features[1:]], axis=1)[:, :n_frames]
        n_samples = recipe.frontend.n_samples(n_frames)
    else:
        network = embedding_model(model)
        n_frames, n_samples = recipe.model.window_frames, recipe.clip_samples
    content = convert_int8(network, features)
    table = _description(recipe, name, version)
    table |= {
        "sha256": sha256(content),
        "window_frames": n_frames,
        "window_samples": n_samples,
        "moments": moments,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / table["file"], content)
    path = out / f"{name}.json"
    write_atomically(path, json.dumps(table, indent=2) + "\n")
    return WordBackbone.read(path)


def _description(recipe: Recipe, name: str, version: str) -> dict[str, Any]:
    settings = dataclasses.asdict(recipe.frontend)
    return {
        "name": name,
        "version": version,
        "frontend": {key: settings[key] for key in settings if key in recipe.frontend.settings},
        "file": f"{name}.tflite",
        "hop_frames": recipe.export.hop_frames,
        "negatives": f"{name}.negatives.npz",
        "licence": recipe.data.licence,
        "attribution": list(recipe.data.attribution),
        "training": {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "n_words": len(recipe.data.labels),
            "left_out": list(recipe.words.excluded),
            "imitates": recipe.cache.feature_teacher,
        },
    }


def concatenated_steps(model: keras.Model, recipe: Recipe, moments: int) -> keras.Model:
    """Return the network over the shortest window of `moments` steps, which it concatenates.

    Raises
    ------
    ConfigError
        If the recipe's hop is not one step of the network.
    """
    steps = pooling_layer(model).input.shape[1]
    n_frames = recipe.model.window_frames + (moments - steps) * recipe.export.hop_frames
    found = None
    # The recipe's window may be a few frames longer than its steps need.
    for shorter in range(recipe.export.hop_frames + 1):
        built = models.build(
            recipe.model.name,
            input_shape=(n_frames - shorter, *recipe.input_shape[1:]),
            n_labels=len(recipe.data.labels),
            params=recipe.model.params,
        )
        if pooling_layer(built).input.shape[1] != moments:
            break
        found = built
    if found is None:
        raise ConfigError(
            f"{recipe.name}: expected {moments} network steps in {n_frames} frames, one per hop of "
            f"{recipe.export.hop_frames} frames; set export.hop_frames to the network's step"
        )
    for layer in found.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return keras.Model(found.input, layers.Flatten()(pooling_layer(found).input))
