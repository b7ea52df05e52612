"""Whisper's published weights: of its checkpoint, or of an archive that holds the encoder alone."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.config.data_sections import expand_path

Array = NDArray[np.float32]
Pair = tuple[Array, Array]
"""Kernel and bias with outputs first, or scale and offset."""

VARIABLE = "KWS_WHISPER"
DEFAULT_FILE = "$KWS_DATA/whisper-tiny.en.safetensors"
# Layers of `whisper_encoder` and of the checkpoint, both within a transformer layer.
PARTS = {
    "self_attention-layer_norm": ("self_attn_layer_norm",),
    "self_attention-linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention-linear_1": ("self_attn.out_proj",),
    "ffn-layer_norm": ("final_layer_norm",),
    "ffn-linear_0": ("fc1",),
    "ffn-linear_1": ("fc2",),
}


def load_whisper(model: keras.Model) -> None:
    """Give a `whisper_encoder` network the weights of Whisper tiny.en, up to its embedding.

    KWS_WHISPER names their file; by default it is that of `kws-train fetch whisper-tiny.en` in the
    data's folder.

    Raises
    ------
    ConfigError
        If there is no such file, or it holds another network.
    """
    if model.name != "whisper_encoder":
        raise ConfigError(
            "fit.start_from = 'whisper-tiny.en': expected model.name = 'whisper_encoder', got "
            f"{model.name!r}"
        )
    path = weights_file()
    encoder = keras.Model(model.input, model.get_layer("embedding").output)
    layers = [layer for layer in encoder.layers if layer.weights]
    read = _read_archive if path.suffix == ".npz" else _read_checkpoint
    try:
        pairs = read(path, [layer.name for layer in layers])
        for layer, pair in zip(layers, pairs):
            # Keras has inputs first, and convolutions a second axis in space.
            for weight, array in zip(layer.weights, pair):
                expected = tuple(size for size in weight.shape if size > 1)
                if array.T.shape != expected:
                    raise ValueError(f"{layer.name} of shape {array.T.shape}, not {expected}")
                weight.assign(array.T.reshape(weight.shape))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: expected the weights of Whisper tiny.en: {error}") from error


def weights_file() -> Path:
    """Return the file of the weights: `ConfigError` if there is none."""
    path = expand_path(os.environ.get(VARIABLE) or DEFAULT_FILE, where="whisper-tiny.en")
    assert path is not None
    if not path.is_file():
        raise ConfigError(
            f"{path}: expected Whisper's weights, found no file; kws-train fetch whisper-tiny.en "
            f"--out $KWS_DATA, or {VARIABLE}=FILE"
        )
    return path


def _read_archive(path: Path, names: list[str]) -> list[Pair]:
    """Read a .npz archive with the names of the CTranslate2 converter."""
    found = []
    # Opened here: numpy leaves a broken file open.
    with path.open("rb") as file, np.load(file) as archive:
        for name in names:
            place = name.replace("-", "/")
            kinds = ("gamma", "beta") if name.endswith("norm") else ("weight", "bias")
            first, second = (np.asarray(archive[f"{place}/{kind}"], np.float32) for kind in kinds)
            found.append((first, second))
    return found


def _read_checkpoint(path: Path, names: list[str]) -> list[Pair]:
    """Read the encoder of OpenAI's checkpoint, in the safetensors format of Hugging Face."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            known = set(file.keys())
            return [_read_layer(file, known, name) for name in names]
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _read_layer(file: Any, known: set[str], name: str) -> Pair:
    """Return the layer `name` of ours; it may be several of the checkpoint, one after the other."""
    place, _, part = name.partition("-")
    within = place.replace("layer_", "layers.")
    stems = [f"{within}.{stem}" for stem in PARTS[part]] if part else [place]
    weights, biases = [], []
    for stem in (f"model.encoder.{stem}" for stem in stems):
        weights.append(np.asarray(file.get_tensor(f"{stem}.weight"), np.float32))
        # A key has no bias.
        bias = f"{stem}.bias"
        zeros = np.zeros(len(weights[-1]), np.float32)
        biases.append(np.asarray(file.get_tensor(bias), np.float32) if bias in known else zeros)
    return np.concatenate(weights), np.concatenate(biases)
