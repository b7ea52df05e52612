"""Posteriors of long audio, computed once for each model and cached, and their scores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import kws
from kws.audio.files import read_file
from kws.decision.smoothing import smooth
from kws.decision.speech_context import SpeechContext
from kws.files import atomic_path
from kws.manifest import ModelManifest
from kws.spotter import KeywordSpotter
from training.evaluation.long_audio import recorded_hops
from training.evaluation.stream_scores import FileScores

# The cache covers the silence after the audio that this much smoothing needs.
MAX_SMOOTHING_MS = 1_000


@dataclass(frozen=True)
class Posteriors:
    """The posteriors of every hop of one file, before smoothing."""

    file: str
    duration_s: float
    times_s: NDArray[np.float64]
    """End of each window, shape (n_hops,)."""

    rows: NDArray[np.float32]
    """Posteriors, shape (n_hops, n_labels)."""

    window_s: float
    hop_s: float

    def scores(self, smoothing_ms: int, context: SpeechContext) -> FileScores:
        """Return the scores, bit for bit those of `KeywordSpotter` with its flush at the end."""
        n = max(1, round(smoothing_ms / (1000 * self.hop_s)))
        # At the end of a file the spotter adds silence of one window and the smoothing span.
        end_s = self.duration_s + self.window_s + (n - 1) * self.hop_s
        n_hops = int(np.sum(self.times_s <= end_s + 1e-9))
        rows = self.rows[:n_hops]
        scores = context.apply_to_recording(rows, smooth(rows, n))
        return FileScores(self.file, self.duration_s, self.times_s[n - 1 : n_hops], scores)


@dataclass(frozen=True)
class ScoreSettings:
    """How posteriors become scores."""

    smoothing_ms: int
    context_weight: float | None
    """Of all keywords; None takes the weight of each keyword from the manifest."""

    def weights(self, manifest: ModelManifest) -> Mapping[str, float]:
        """Return the context weight of each keyword; empty if all are 0."""
        if self.context_weight is None:
            return manifest.decision.context_weights
        if self.context_weight == 0:
            return {}
        return dict.fromkeys(manifest.keywords, self.context_weight)

    def scores(self, posteriors: Posteriors, manifest: ModelManifest) -> FileScores:
        """Return the scores of a file."""
        decision = replace(manifest.decision, context_weights=self.weights(manifest))
        hop_ms = 1000 * posteriors.hop_s
        context = SpeechContext(manifest.labels, decision, hop_ms=hop_ms)
        return posteriors.scores(self.smoothing_ms, context)


def default_cache() -> Path:
    """Return the cache folder, ``$XDG_CACHE_HOME/kws/scores`` (default: in ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kws" / "scores"


def posteriors_of(spotter: KeywordSpotter, path: Path, *, cache: Path | None) -> Posteriors:
    """Return the posteriors of a file, from the cache if this model has processed it before.

    The name in the cache is derived from the SHA-256 of the model, the audio, and everything else
    that affects posteriors. Meant for long audio: the second pass over audio shorter than a
    window, which `KeywordSpotter.flush` makes, is not done here.
    """
    kept = None if cache is None else cache / f"{_key(spotter, path)}.npz"
    if kept is None or not kept.is_file():
        times_s, rows, duration_s = _run(spotter, path)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as temporary:
                np.savez_compressed(temporary, times_s=times_s, rows=rows, duration_s=duration_s)
    else:
        with np.load(kept) as values:
            times_s, rows = values["times_s"], values["rows"]
            duration_s = float(values["duration_s"])
    window_s = spotter.window_samples / spotter.sample_rate
    return Posteriors(path.name, duration_s, times_s, rows, window_s, spotter.hop_ms / 1000)


def _key(spotter: KeywordSpotter, path: Path) -> str:
    form = spotter.manifest.stream if spotter.model.mode == "stream" else spotter.manifest.window
    assert form is not None
    opened = spotter.model.opened
    digest = hashlib.sha256()
    for part in (
        kws.__version__,
        form.sha256,
        str(spotter.manifest.frontend),
        f"{opened.runtime} {opened.runtime_version}",
        opened.kernels,
        str(spotter.hop_ms),
    ):
        digest.update(f"{part}\n".encode())
    with open(path, "rb") as handle:
        while chunk := handle.read(2**20):
            digest.update(chunk)
    return f"{form.sha256[:12]}-{digest.hexdigest()[:32]}"


def _run(
    spotter: KeywordSpotter, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float32], float]:
    """Return times, posteriors and the duration of a file, with silence after it."""
    rate = spotter.sample_rate
    silence = np.zeros(spotter.window_samples + MAX_SMOOTHING_MS * rate // 1000, dtype=np.int16)
    with recorded_hops(spotter) as hops:
        for chunk in read_file(path, sample_rate=rate):
            spotter.process(chunk)
        duration_s = spotter.time_s
        spotter.process(silence)
    rows = np.array(hops.posteriors, dtype=np.float32)
    n_labels = len(spotter.manifest.labels)
    return np.array(hops.times_s, dtype=np.float64), rows.reshape(-1, n_labels), duration_s
