"""Run clips through a model as the runtime does: same front end, same interpreter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.features.frontends import WholeFeatures
from kws.inference.model import PosteriorModel
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest
from training.datasets.clips import Clip, fit_length


@dataclass(frozen=True)
class ClipScorer:
    """A model and its front end, for clips of one window each."""

    manifest: ModelManifest
    model: PosteriorModel
    front_end: WholeFeatures

    @classmethod
    def open(
        cls,
        manifest: ModelManifest,
        *,
        mode: str = "window",
        runtime: str | None = None,
        kernels: str = "default",
    ) -> ClipScorer:
        """Return a scorer for a model; the stream form takes a clip in steps, to the same end."""
        if mode == "stream":
            hop_frames = manifest.stream.hop_frames if manifest.stream else 1
            model: PosteriorModel = StreamModel(
                manifest, hop_frames=hop_frames, runtime=runtime, kernels=kernels
            )
        else:
            model = WindowModel(manifest, hop_frames=1, runtime=runtime, kernels=kernels)
        return cls(manifest, model, WholeFeatures(manifest.frontend))

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
