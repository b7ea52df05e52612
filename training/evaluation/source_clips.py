"""The clips that `kws-eval clips` counts for a model of a plain classification task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kws.dataclass_io import from_mapping
from kws.errors import ConfigError
from kws.manifest import ModelManifest
from training.config.data_sections import SourceConfig
from training.datasets import labelled_clips as sources
from training.datasets.splits import open_classes


def clips_of_source(manifest: ModelManifest, root: Path, *, split: str | None) -> list[Any] | None:
    """Return the clips of `root` as the model's recipe reads and splits them.

    Labels that the model does not have are passed over. Without a `split` every clip of the
    model's labels counts. For a model of keywords the answer is None.

    Raises
    ------
    ConfigError
        If the source cannot be read, or the split is empty.
    """
    config = _source_of(manifest)
    if not config.kind:
        return None
    # The same labels may lie elsewhere in another form: recordings of one's own in folders.
    kind = sources.detect(root)
    if kind == "csv" and config.kind == "folders" and root.is_dir():
        kind = "folders"
    labels = manifest.labels
    if config.kind == "words":
        # Words of running speech have no folder.
        labels = tuple(label for label in labels if (root / label).is_dir())
    config = replace(config, kind=kind)
    if split is None:
        items = sources.OPENERS[kind](root, sample_rate=config.sample_rate)
        clips = [item.clip for item in items if item.clip.label in manifest.labels]
    else:
        clips = open_classes(config, root, labels).clips(split)
    if not clips:
        raise ConfigError(
            f"{root}: expected {split or 'clips'} of {', '.join(manifest.labels)}, found none"
        )
    return clips


def _source_of(manifest: ModelManifest) -> SourceConfig:
    table = manifest.training.get("recipe", {}).get("source", {})
    return from_mapping(
        SourceConfig, table, where=str(manifest.path), name="training.recipe.source"
    )
