"""The posteriors of long audio, computed once for each model and kept; scored at will."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import kws
from kws.audio.files import read_file
from kws.decision.speech_context import SpeechContext
from kws.files import atomic_path
from kws.spotter import KeywordSpotter
from training.evaluation.stream_scores import FileScores

# What is kept reaches past the end of the audio as far as this much smoothing needs.
MAX_SMOOTHING_MS = 1_000


@dataclass(frozen=True)
class Posteriors:
    """What the model said at every hop of one file, before any smoothing."""

    file: str
    duration_s: float
    times_s: NDArray[np.float64]
    """End of each window, shape (n_hops,)."""

    rows: NDArray[np.float32]
    """Posteriors, shape (n_hops, n_labels)."""

    window_s: float
    hop_s: float

    def scores(self, smoothing_ms: int, context: SpeechContext) -> FileScores:
        """Return the scores, bit for bit those of `KeywordSpotter` and its flush at the end."""
        n = max(1, round(smoothing_ms / (1000 * self.hop_s)))
        lead_s = (n - 1) * self.hop_s
        # After the end the spotter is fed silence of a window and the smoothing, no more.
        n_hops = int(np.sum(self.times_s <= self.duration_s + self.window_s + lead_s + 1e-9))
        n_scores = max(0, n_hops - n + 1)
        total = self.rows[:n_scores].copy()
        for age in range(1, n):
            # Oldest first, as PosteriorSmoother adds them: the same last bit.
            total += self.rows[age : age + n_scores]
        total /= np.float32(n)
        total = context.weigh_all(self.rows[:n_hops], total)
        return FileScores(self.file, self.duration_s, self.times_s[n - 1 : n_hops], total)


def default_cache() -> Path:
    """Return the folder for scores: ``$XDG_CACHE_HOME/kws/scores``, mostly below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kws" / "scores"


def posteriors_of(spotter: KeywordSpotter, path: Path, *, cache: Path | None) -> Posteriors:
    """Return the posteriors of a file, from the cache if this model has heard it before.

    Its name in the cache is made of the SHA-256 of the model, of the audio, and of all else that
    could change a posterior. Audio shorter than a window and the smoothing is not gone through
    a second time, as `KeywordSpotter.flush` does: long audio is what this is for.
    """
    kept = None if cache is None else cache / f"{_key(spotter, path)}.npz"
    if kept is None or not kept.is_file():
        times_s, rows, duration_s = _listen(spotter, path)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            values = {"times_s": times_s, "rows": rows, "duration_s": np.float64(duration_s)}
            with atomic_path(kept) as temporary:
                np.savez_compressed(temporary, **values)
    else:
        with np.load(kept) as values:
            times_s, rows = values["times_s"], values["rows"]
            duration_s = float(values["duration_s"])
    window_s = spotter.window_samples / spotter.sample_rate
    return Posteriors(path.name, duration_s, times_s, rows, window_s, spotter.hop_ms / 1000)


def posteriors_of_all(
    spotter: KeywordSpotter,
    paths: Sequence[Path],
    *,
    cache: Path | None,
    progress: Callable[[Sequence[Path]], Sequence[Path]] = lambda paths: paths,
) -> list[Posteriors]:
    """Return the posteriors of each file; `progress` wraps the iteration."""
    return [posteriors_of(spotter, path, cache=cache) for path in progress(paths)]


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


def _listen(
    spotter: KeywordSpotter, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float32], float]:
    """Return times, posteriors and the length of a file, with silence after it."""
    times: list[float] = []
    rows: list[NDArray[np.float32]] = []

    def keep(
        time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        times.append(time_s)
        rows.append(posterior.copy())

    rate = spotter.sample_rate
    silence = np.zeros(spotter.window_samples + MAX_SMOOTHING_MS * rate // 1000, dtype=np.int16)
    spotter.reset()
    spotter.on_posterior = keep
    try:
        for chunk in read_file(path, sample_rate=rate):
            spotter.process(chunk)
        duration_s = spotter.time_s
        spotter.process(silence)
    finally:
        spotter.on_posterior = None
        spotter.reset()
    n_labels = len(spotter.manifest.labels)
    return (
        np.array(times, dtype=np.float64),
        np.array(rows, dtype=np.float32).reshape(-1, n_labels),
        duration_s,
    )
