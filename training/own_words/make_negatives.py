"""Make the bank of negative embeddings that ships beside a backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.data.clips import SAMPLE_RATE, Clip, fit_length
from training.data.folders import AUDIO_SUFFIXES, NOISE_FOLDER
from training.own_words.backbone import Backbone
from training.own_words.negatives import KINDS, Negatives


@dataclass(frozen=True)
class Source:
    """A folder of audio, and how much of it is kept."""

    kind: str
    """One of `KINDS`: running speech, a folder a word, or noise."""

    folder: Path
    n_windows: int
    """Windows to keep, drawn evenly from all."""


class NegativeMaker:
    """Turn folders of audio into the embeddings of windows drawn from them."""

    def __init__(self, backbone: Backbone, *, seed: int = 1) -> None:
        self._backbone = backbone
        self._rng = np.random.default_rng(seed)
        self._groups: dict[str, int] = {}
        self.speech_hours = 0.0

    def windows(
        self, source: Source
    ) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int16], list[str]]]:
        """Yield embeddings ``(n, size)``, groups ``(n,)`` and words of each file of a source.

        Raises
        ------
        ConfigError
            If there is no audio.
        """
        files = sorted(p for p in source.folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise ConfigError(f"{source.folder}: expected audio files, found none")
        for path in files:
            word = path.parent.name if source.kind == "word" else ""
            if word == NOISE_FOLDER:
                continue
            samples = Clip(path, word).read()
            if word:
                samples = fit_length(samples, max(SAMPLE_RATE, self._backbone.file.window_samples))
            if source.kind == "speech":
                self.speech_hours += len(samples) / SAMPLE_RATE / 3600
            found = self._backbone.embed_long(samples)
            group = self._group(path, source.kind)
            yield found, np.full(len(found), group, np.int16), [word.lower()] * len(found)

    def _group(self, path: Path, kind: str) -> int:
        # LibriSpeech names a file SPEAKER-CHAPTER-NUMBER, Speech Commands SPEAKER_nohash_N,
        # ESC FOLD-SOUND: the first part is who or where it is from.
        name = kind + path.stem.replace("_", "-").split("-", 1)[0]
        return self._groups.setdefault(name, len(self._groups))


def make_negatives(
    backbone: Backbone, sources: list[Source], *, seed: int = 1, command: str = ""
) -> Negatives:
    """Return the bank of windows drawn evenly from each source."""
    maker = NegativeMaker(backbone, seed=seed)
    rng = np.random.default_rng(seed)
    parts: list[tuple[NDArray[np.int8], NDArray[np.int16], NDArray[np.str_], int]] = []
    for source in sources:
        found = list(maker.windows(source))
        embeddings = np.concatenate([one for one, _, _ in found])
        groups = np.concatenate([group for _, group, _ in found])
        words = np.array([word for _, _, words in found for word in words])
        if source.kind == "speech":
            kept = neighbours([len(one) for one, _, _ in found], source.n_windows // 2, rng)
        else:
            n_kept = min(source.n_windows, len(embeddings))
            kept = np.sort(rng.choice(len(embeddings), n_kept, replace=False))
        parts.append((embeddings[kept], groups[kept], words[kept], KINDS[source.kind]))
    return Negatives(
        embeddings=np.concatenate([part[0] for part in parts]),
        groups=np.concatenate([part[1] for part in parts]),
        labels=np.concatenate([part[2] for part in parts]),
        kinds=np.concatenate([np.full(len(part[0]), part[3], np.uint8) for part in parts]),
        speech_hours=maker.speech_hours,
        backbone=backbone.file.sha256,
        about={
            "command": command,
            "sources": [f"{one.kind}: {one.folder.name}" for one in sources],
            "attribution": list(backbone.file.attribution),
        },
    )


def neighbours(lengths: list[int], n_pairs: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw pairs of windows one hop apart; return both of each, one behind the other.

    Parameters
    ----------
    lengths : list of int
        Windows of each file, in a row.
    n_pairs : int
        How many pairs, if there are so many.
    """
    ends = np.cumsum(lengths)
    # A pair must not begin with the last window of a file.
    firsts = np.setdiff1d(np.arange(int(ends[-1])), ends - 1)
    chosen = np.sort(rng.choice(firsts, min(n_pairs, len(firsts)), replace=False))
    return np.stack([chosen, chosen + 1], axis=1).reshape(-1)
