"""Words of one's own beside those of a model that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kws import models
from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.own_words.backbone import BackboneFile


@dataclass(frozen=True)
class Base:
    """A model whose words are kept."""

    manifest: ModelManifest
    content: bytes
    """Its window form."""


def base_of(name_or_path: str, backbone: BackboneFile, words: Sequence[str]) -> Base:
    """Return the model whose words are kept.

    Raises
    ------
    ConfigError
        If it has one of the words already, or another front end than the backbone.
    """
    manifest = models.load(name_or_path)
    there = sorted(set(words) & set(manifest.keywords))
    if there:
        raise ConfigError(
            f"--add-to {name_or_path}: it knows {', '.join(there)} already; "
            "give your word another name, or teach it without --add-to"
        )
    ours = (backbone.frontend, backbone.window_frames, backbone.window_samples)
    window = manifest.window
    if (manifest.frontend, window.window_frames, window.window_samples) != ours:
        raise ConfigError(
            f"--add-to {name_or_path}: expected a model with the front end of the backbone "
            f"{backbone.name}, as default, tiny and large have it"
        )
    return Base(manifest, manifest.read_form(window))
