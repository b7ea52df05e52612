"""Words of one's own beside those of a model that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kws import models
from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.embedding.word_backbone import BackboneFile
from training.tflite.graph import Graph
from training.tflite.stream_plan import NotStreamableError, plan_stream


@dataclass(frozen=True)
class Base:
    """A model whose words are kept."""

    manifest: ModelManifest
    content: bytes
    """Its window form."""


def base_of(name_or_path: str, backbone: BackboneFile, words: Sequence[str]) -> Base:
    """Return the model whose words are kept; its window may be another than the backbone's.

    Raises
    ------
    ConfigError
        If it has one of the words already, has another front end than the backbone, or cannot
        be run on new frames as often as the backbone is.
    """
    manifest = models.load(name_or_path)
    there = sorted(set(words) & set(manifest.keywords))
    if there:
        raise ConfigError(
            f"--add-to {name_or_path}: it knows {', '.join(there)} already; "
            "give your word another name, or teach it without --add-to"
        )
    if manifest.frontend != backbone.frontend:
        raise ConfigError(
            f"--add-to {name_or_path}: expected a model with the front end of the backbone "
            f"{backbone.name}, as default, tiny and large have it"
        )
    content = manifest.read_form(manifest.window)
    try:
        # Now, because learning takes a while.
        plan_stream(Graph(content, where=manifest.window.file), hop_frames=backbone.hop_frames)
    except NotStreamableError as error:
        raise ConfigError(
            f"--add-to {name_or_path}: expected a model that can be run every "
            f"{backbone.hop_frames} frames, as the backbone {backbone.name} is: {error}"
        ) from error
    return Base(manifest, content)
