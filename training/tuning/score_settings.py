"""From kept posteriors to scores: smoothing, and what was heard before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kws.decision.speech_context import SpeechContext
from kws.manifest import ModelManifest
from training.evaluation.stream_scores import FileScores
from training.tuning.posterior_cache import Posteriors


@dataclass(frozen=True)
class Scoring:
    """How posteriors become scores."""

    smoothing_ms: int
    context_weight: float | None
    """Of all keywords; None: what the manifest says of each."""

    def weights(self, manifest: ModelManifest) -> Mapping[str, float]:
        """Return the weight of each keyword, none where all are 0."""
        if self.context_weight is None:
            return manifest.decision.context_weights
        if self.context_weight == 0:
            return {}
        return dict.fromkeys(manifest.keywords, self.context_weight)

    def of(self, posteriors: Posteriors, manifest: ModelManifest) -> FileScores:
        """Return the scores of a file."""
        decision = replace(manifest.decision, context_weights=self.weights(manifest))
        hop_ms = 1000 * posteriors.hop_s
        context = SpeechContext.of(manifest.labels, decision, hop_ms=hop_ms)
        return posteriors.scores(self.smoothing_ms, context)
