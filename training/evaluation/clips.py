"""The clips that count for a model, and their posteriors as the runtime computes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE
from kws.dataclass_io import from_mapping
from kws.errors import ConfigError
from kws.features.frontends import ClipFeatures
from kws.inference.model import PosteriorModel
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest
from training.config.data_sections import SourceConfig
from training.datasets import labelled_clips, twelve_class
from training.datasets.clips import Clip, fit_length
from training.datasets.folders import halves, scan, speaker_of
from training.datasets.splits import open_classes


@dataclass(frozen=True)
class ClipScorer:
    """A model and its front end, for clips of one window each."""

    manifest: ModelManifest
    model: PosteriorModel
    front_end: ClipFeatures

    @classmethod
    def open(
        cls,
        manifest: ModelManifest,
        *,
        mode: str = "window",
        runtime: str | None = None,
        kernels: str = "default",
    ) -> ClipScorer:
        """Return a scorer; the streaming model takes a clip in steps, with the same result."""
        if mode == "stream":
            hop_frames = manifest.stream.hop_frames if manifest.stream else 1
            model: PosteriorModel = StreamModel(
                manifest, hop_frames=hop_frames, runtime=runtime, kernels=kernels
            )
        else:
            model = WindowModel(manifest, hop_frames=1, runtime=runtime, kernels=kernels)
        return cls(manifest, model, ClipFeatures(manifest.frontend))

    @property
    def window_s(self) -> float:
        """Length of the model's window, in seconds."""
        return self.manifest.window.window_samples / self.manifest.frontend.sample_rate

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """Return the frames ``(window_frames, n_bands)`` of a clip's window."""
        n_samples = self.manifest.window.window_samples * self.front_end.factor
        samples = fit_length(clip.read(), n_samples)
        return self.front_end(samples)[: self.model.window_frames]

    def posterior(self, clip: Clip) -> NDArray[np.float32]:
        """Return the posterior ``(n_labels,)`` of a clip."""
        shape = self.manifest.frontend.shape(self.model.window_frames)
        return self.model.predict(self.features(clip).reshape(shape))

    def posteriors(self, clips: Iterable[Clip]) -> NDArray[np.float32]:
        """Return the posteriors ``(n_clips, n_labels)`` of clips."""
        return np.stack([self.posterior(clip) for clip in clips])


def half_of(clips: Sequence[Any], half: str, roots: Sequence[Path], split: str) -> list[Any]:
    """Return the clips whose speakers are in half ``a`` or ``b`` of all speakers of the split.

    These are the halves of `kws-eval make-conditions`. Cuts of a background recording, all of one
    source, are dealt out one by one.

    Raises
    ------
    ConfigError
        If the half is empty.
    """
    speakers = halves(speaker_of(clip.path) for clip in scan(*roots)[split])
    number = "ab".index(half)
    n_silent = itertools.count()
    chosen = [
        clip
        for clip in clips
        if (
            next(n_silent) % 2 == number
            if clip.label == SILENCE
            else speaker_of(clip.path) in speakers[number]
        )
    ]
    if not chosen:
        raise ConfigError(f"--half {half}: expected clips of at least two speakers")
    return chosen


def clips_to_score(
    manifest: ModelManifest,
    root: Path,
    *,
    split: str | None,
    seed: int,
    more: Sequence[Path] = (),
) -> list[Any]:
    """Return the clips of a folder, table or archive that count for a model.

    Without a `split` every clip counts. With one, a keyword model gets the balanced twelve-class
    split drawn by `seed`, a model of plain classes the split of its recipe. Clips of other classes
    than those of the model are ignored. `more` are further folders for a keyword model.

    Raises
    ------
    ConfigError
        If the data cannot be read, or the split is empty.
    """
    table = manifest.training.get("recipe", {}).get("source", {})
    source = from_mapping(
        SourceConfig, table, where=str(manifest.path), name="training.recipe.source"
    )
    labels = manifest.labels
    if not source.kind:
        if split is None:
            every = (twelve_class.every_clip(each, labels) for each in (root, *more))
            return [clip for clips in every for clip in clips]
        return list(twelve_class.balanced_split(root, labels, split, seed=seed, more=more))
    if more:
        raise ConfigError(
            f"--data: expected one folder, table or archive for {manifest.name}, a model of plain "
            f"classes, got {1 + len(more)}"
        )
    kind = labelled_clips.detect(root)
    if source.kind == "words":
        # Words cut from running speech have no folder.
        labels = tuple(label for label in labels if (root / label).is_dir())
    elif source.kind == "folders" and kind == "csv" and root.is_dir():
        # A table in the folder does not change how the recipe reads it.
        kind = "folders"
    source = replace(source, kind=kind)
    if split is None:
        items = labelled_clips.OPENERS[kind](root, sample_rate=source.sample_rate)
        clips = [item.clip for item in items if item.clip.label in manifest.labels]
    else:
        clips = open_classes(source, root, labels).clips(split)
    if not clips:
        raise ConfigError(
            f"{root}: expected {split or 'clips'} of {', '.join(manifest.labels)}, found none"
        )
    return clips
