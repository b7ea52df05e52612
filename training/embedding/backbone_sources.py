"""Open the .tflite backbone that a recipe names: YAMNet, another file, a shipped backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.files import sha256
from kws.inference.interpreter import open_model
from training.config.data_sections import expand_path
from training.config.embeddings import EMBEDDINGS
from training.config.run_folder import RunFolder
from training.config.sections import TransferConfig
from training.embedding.backbone import Backbone, WordBackbone, shipped_names
from training.embedding.truncate import truncate
from training.tflite.multi_window import multi_window

NAMED = ("yamnet", *EMBEDDINGS)
# YAMNet's own framing: windows of 0.975 s, one every 0.48 s.
YAMNET_WINDOW, YAMNET_HOP = 15_600, 7_680
YAMNET_LAYER = "global_average_pooling2d/Mean"


def is_keras_backbone(config: TransferConfig) -> bool:
    """Return whether the recipe's backbone is for `keras_backbones.open_keras_backbone`."""
    return config.backbone in EMBEDDINGS or run_of(config) is not None


def run_of(config: TransferConfig) -> RunFolder | None:
    """Return the training run that the recipe names as its backbone, if it names one."""
    path = expand_path(config.backbone, where="transfer.backbone") if config.backbone else None
    run = None if path is None else RunFolder(path)
    return run if run is not None and run.recipe.is_file() else None


def open_backbone(config: TransferConfig) -> Backbone:
    """Return the recipe's .tflite backbone, truncated at the recipe's layers.

    Raises
    ------
    ConfigError
        If the backbone or a layer does not exist.
    """
    name = config.backbone
    if not name:
        raise ConfigError("transfer.backbone: expected a backbone, got none; see kws-train recipes")
    path = expand_path(name, where="transfer.backbone")
    if name == "yamnet":
        return _yamnet(config)
    if path is not None and path.suffix == ".tflite" and path.is_file():
        return _waveform_backbone(path.stem, path, config, hop_samples=None)
    names = shipped_names()
    if name not in names and (path is None or not path.is_file()):
        raise ConfigError(
            f"transfer.backbone: expected {', '.join([*NAMED, *names])}, a run folder, "
            f"or a .json or .tflite file, got {name!r}"
        )
    check_single_window(config)
    return WordBackbone.read(name if name in names else str(path)).truncated(config.layers)


def check_single_window(config: TransferConfig) -> None:
    """Refuse several windows for a network that is no .tflite file that takes samples."""
    if config.windows > 1:
        raise ConfigError(
            f"transfer.windows: expected 1, got {config.windows} for {config.backbone}: only "
            ".tflite networks that take samples can have several windows"
        )


def _yamnet(config: TransferConfig) -> Backbone:
    path = expand_path(config.file, where="transfer.file")
    if path is None or not path.is_file():
        raise ConfigError(
            f"transfer.file: expected YAMNet's .tflite file, got {path or 'none'}; "
            "kws-train fetch yamnet --out $KWS_DATA"
        )
    return _waveform_backbone(
        "yamnet",
        path,
        replace(config, layers=config.layers or (YAMNET_LAYER,)),
        hop_samples=YAMNET_HOP,
        licence="Apache-2.0",
        attribution=("YAMNet, Google, trained on AudioSet, Apache-2.0",),
    )


def _waveform_backbone(
    name: str, path: Path, config: TransferConfig, *, hop_samples: int | None, **about: Any
) -> Backbone:
    """Open a .tflite file that takes samples -1..1; by default its windows overlap by half."""
    content = path.read_bytes()
    embedding = truncate(content, config.layers, where=str(path))
    shape = open_model(embedding, where=str(path)).inputs[0].shape
    if len(shape) != 2:
        raise ConfigError(
            f"{path}: expected a network that takes samples (1, n), got an input {shape}; for a "
            "network that takes features, name the .json file of a backbone or a run folder"
        )
    hop_samples = hop_samples or max(1, shape[1] // 2)
    n_windows = config.windows
    n_samples = shape[1] + (n_windows - 1) * hop_samples
    if n_windows > 1:
        embedding = multi_window(
            embedding, n_windows=n_windows, hop_samples=hop_samples, where=str(path)
        )
    return Backbone(
        name=name,
        content=embedding,
        frontend=FrontendConfig(kind="waveform"),
        window_frames=n_samples,
        window_samples=n_samples,
        hop_samples=n_windows * hop_samples,
        origin={"backbone": name, "file_sha256": sha256(content), "layers": list(config.layers)},
        **about,
    )
