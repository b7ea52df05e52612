"""Make the backbone that words are learned on: a trained network, cut and made int8."""

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
from training.batches.task import open_task
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.embedding.extract import Embedder
from training.embedding.word_backbone import BackboneFile
from training.tflite.convert import convert_int8


def make_backbone(
    run: RunFolder, out: Path, *, name: str, version: str = "1", moments: int = 1
) -> BackboneFile:
    """Write ``NAME.tflite`` and ``NAME.json`` into `out`: features in, int8 embedding out.

    Parameters
    ----------
    run : RunFolder
    out : Path
    name, version : str
    moments : int
        Steps of the network that are laid end to end to the embedding, in as long a window as
        they take; 1 for the mean of the steps of a clip. With several, a head can tell when in
        the window something is said: that nothing was said before it, above all.

    Raises
    ------
    KwsError
        If the run has no weights, or its network nothing to cut at.
    """
    if moments < 1:
        raise ConfigError(f"--moments: expected at least 1, got {moments}")
    embedder = Embedder.open(run)
    recipe = embedder.recipe
    features = open_task(recipe).calibration_features()
    if moments > 1:
        cut = every_step(embedder.whole, recipe, moments)
        n_frames = cut.input_shape[1]
        # A clip and the beginning of the next.
        features = np.concatenate([features[:-1], features[1:]], axis=1)[:, :n_frames]
    else:
        cut = keras.Model(embedder.model.input, embedder.model.output)
        n_frames = recipe.model.window_frames
    content = convert_int8(cut, features)
    frame, step = (
        round(ms * recipe.clip_rate / 1000)
        for ms in (recipe.frontend.frame_length_ms, recipe.frontend.frame_step_ms)
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    table: dict[str, Any] = {
        "name": name,
        "version": version,
        "frontend": {
            key: value
            for key, value in dataclasses.asdict(recipe.frontend).items()
            if key in recipe.frontend.settings
        },
        "file": f"{name}.tflite",
        "sha256": sha256(content),
        "window_frames": n_frames,
        "window_samples": frame + (n_frames - 1) * step if moments > 1 else recipe.clip_samples,
        "hop_frames": recipe.export.hop_frames,
        "moments": moments,
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
    write_atomically(out / table["file"], content)
    text = json.dumps(table, indent=2) + "\n"
    write_atomically(path, text)
    return BackboneFile.read(path)


def every_step(model: keras.Model, recipe: Recipe, moments: int) -> keras.Model:
    """Return a network in its shortest window of `moments` steps, which it gives end to end.

    Raises
    ------
    ConfigError
        If the recipe's hop is not the network's step.
    """
    steps = pooling_layer(model).input.shape[1]
    n_frames = recipe.model.window_frames + (moments - steps) * recipe.export.hop_frames
    found = None
    # The recipe's window may be some frames longer than its steps need.
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
            f"{recipe.name}: expected {moments} steps in {n_frames} frames, so that a hop of "
            f"{recipe.export.hop_frames} frames is a step; set export.hop_frames"
        )
    for layer in found.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return keras.Model(found.input, layers.Flatten()(pooling_layer(found).input))
