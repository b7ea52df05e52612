"""Backbones converted from Keras: Google's speech embedding, and the network of a training run."""

from __future__ import annotations

from typing import Any

from kws.files import sha256
from training.architectures import pretrained
from training.architectures.recipe_model import build_model
from training.config import recipe as recipes
from training.config.sections import TransferConfig
from training.embedding.backbone import Backbone
from training.embedding.backbone_sources import check_single_window, run_of
from training.embedding.keras_embedder import KerasEmbedder
from training.tflite.convert import convert_float

SPEECH_EMBEDDING_LAYER = "embedding"


def open_keras_backbone(config: TransferConfig) -> Backbone:
    """Return the recipe's backbone, in float32 and truncated at the recipe's layers.

    Raises
    ------
    KwsError
        If the network has no weights, or no such layer.
    """
    check_single_window(config)
    run = run_of(config)
    if run is None:
        return _speech_embedding(config)
    embedder = KerasEmbedder.open(run, taps=config.layers)
    recipe = embedder.recipe
    return _convert(
        run.path.name,
        embedder,
        licence=recipe.data.licence,
        attribution=tuple(recipe.data.attribution),
        origin={
            "backbone": recipe.name,
            "weights_sha256": sha256(run.best.read_bytes()),
            "layers": list(config.layers),
            "left_out": list(recipe.words.excluded),
        },
    )


def _speech_embedding(config: TransferConfig) -> Backbone:
    recipe = recipes.load("embedding")
    model = build_model(recipe)
    pretrained.load_speech_embedding(model)
    layers = config.layers or (SPEECH_EMBEDDING_LAYER,)
    return _convert(
        "speech-embedding",
        KerasEmbedder(model, recipe, taps=layers),
        licence="Apache-2.0",
        attribution=("Speech embedding, Google (Lin et al. 2020), Apache-2.0",),
        origin={"backbone": "speech-embedding", "layers": list(layers)},
    )


def _convert(name: str, embedder: KerasEmbedder, **about: Any) -> Backbone:
    recipe = embedder.recipe
    return Backbone(
        name=name,
        content=convert_float(embedder.model),
        frontend=recipe.frontend,
        window_frames=recipe.model.window_frames,
        window_samples=recipe.clip_samples,
        hop_samples=recipe.clip_samples // 2,
        **about,
    )
