"""Make the backbone that words are learned on: a trained network, cut and made int8."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras

from kws.checksum import sha256
from training.convert import convert_int8
from training.embedding import Embedder
from training.export import calibration_features
from training.own_words.backbone import BackboneFile
from training.run_folder import RunFolder, atomically


def make_backbone(run: RunFolder, out: Path, *, name: str, version: str = "1") -> BackboneFile:
    """Write ``NAME.tflite`` and ``NAME.json`` into `out`: features in, int8 embedding out.

    Raises
    ------
    KwsError
        If the run has no weights, or its network nothing to cut at.
    """
    embedder = Embedder.open(run)
    recipe = embedder.recipe
    embedding = embedder.model
    cut = keras.Model(embedding.input, embedding.output, name=name)
    content = convert_int8(cut, calibration_features(recipe))
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
        "window_frames": recipe.model.window_frames,
        "window_samples": recipe.clip_samples,
        "hop_frames": recipe.export.hop_frames,
        "negatives": f"{name}.negatives.npz",
        "licence": recipe.data.licence,
        "attribution": list(recipe.data.attribution),
        "training": {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "n_words": len(recipe.data.labels),
            "left_out": list(recipe.words.left_out),
            "imitates": recipe.bank.imitate,
        },
    }
    atomically(out / table["file"], lambda target: target.write_bytes(content))
    text = json.dumps(table, indent=2) + "\n"
    atomically(path, lambda target: target.write_text(text, encoding="utf-8"))
    return BackboneFile.read(path)
