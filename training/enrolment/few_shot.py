"""How much a word needs: misses by the number of recordings, drawn many times."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import count_firings
from kws.decision.smoothing import smooth
from kws.errors import ConfigError
from training.datasets.aligned_speech import read_utterances
from training.datasets.clips import Clip
from training.datasets.folders import AUDIO_SUFFIXES
from training.embedding.head import Head
from training.embedding.word_backbone import Backbone
from training.enrolment.config import EnrolmentConfig
from training.enrolment.enrol import Teacher
from training.enrolment.negatives import Negatives
from training.enrolment.recordings import Recording
from training.enrolment.voices import FEW
from training.enrolment.word_model import SMOOTHING_HOPS, SUPPRESSION_MS, THRESHOLD

FloatArray = NDArray[np.float32]
# More of them tell nothing new of the miss rate, and each is heard for some seconds.
MOST_RECORDINGS = 400


@dataclass(frozen=True)
class Trial:
    """One draw of recordings, and what they taught."""

    word: str
    n_recordings: int
    draw: int
    missed: float
    """Part of the other recordings that is not heard, at the threshold that was set."""

    per_hour: float
    """False accepts an hour on held-out speech, at the threshold that was set."""

    missed_at_rate: float
    """Part that is not heard where the threshold makes the wanted false accepts an hour on the
    held-out speech itself."""


@dataclass(frozen=True)
class Speech:
    """A recording of running speech."""

    embeddings: NDArray[np.int8]
    """``(n_hops, size)``."""

    words: frozenset[str]
    """Words that are said in it, as far as that is known."""


class FewShotStudy:
    """Draw recordings, teach a word, and try it on the others and on speech not learned from.

    Parameters
    ----------
    backbone : Backbone
    negatives : Negatives
        What heads learn from and thresholds are set on.
    speech : sequence of Speech
        Running speech that nothing was learned from.
    config : EnrolmentConfig
    """

    def __init__(
        self,
        backbone: Backbone,
        negatives: Negatives,
        speech: Sequence[Speech],
        config: EnrolmentConfig,
    ) -> None:
        self._backbone = backbone
        self._negatives = negatives
        self._speech = speech
        self._config = config

    def trials(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        *,
        counts: Sequence[int],
        draws: int,
        voices: Mapping[str, Sequence[Recording]] | None = None,
        done: Collection[tuple[str, int, int]] = (),
    ) -> Iterator[Trial]:
        """Yield a trial for each word, number of recordings and draw that is not done yet.

        The recordings of a draw are by other speakers than those tried, as far as file names
        tell speakers (Speech Commands'): of others each file counts as a speaker. Synthesised
        `voices` teach words of few recordings too, as in `kws-enroll`.

        Raises
        ------
        ConfigError
            If a word has too few recordings.
        """
        for word, found in recordings.items():
            if len(found) <= max(counts):
                raise ConfigError(
                    f"{word!r}: expected more than {max(counts)} recordings, got {len(found)}"
                )
            if len(found) > MOST_RECORDINGS:
                rng = np.random.default_rng(self._config.seed)
                kept = rng.choice(len(found), MOST_RECORDINGS, replace=False)
                found = [found[i] for i in np.sort(kept)]
            places = [(word, count, draw) for count in counts for draw in range(draws)]
            if all(place in done for place in places):
                continue
            heard = [self._embedded(one) for one in found]
            # Where it is said, to hear it is no false accept.
            speech = [
                self._backbone.real(one.embeddings)
                for one in self._speech
                if word.lower() not in one.words
            ]
            negatives = self._negatives.without([word])
            teacher = Teacher(self._backbone, negatives, self._config)
            beside = (voices or {}).get(word, ())
            for place in places:
                if place not in done:
                    _, n_recordings, draw = place
                    yield self._trial(teacher, found, heard, speech, n_recordings, draw, beside)

    def _trial(
        self,
        teacher: Teacher,
        found: Sequence[Recording],
        heard: Sequence[FloatArray],
        speech: Sequence[FloatArray],
        n_recordings: int,
        draw: int,
        voices: Sequence[Recording],
    ) -> Trial:
        rng = np.random.default_rng((self._config.seed, n_recordings, draw))
        order = rng.permutation(len(found))
        learned = order[:n_recordings]
        speakers = {speaker(found[i].path) for i in learned}
        tried = [i for i in order[n_recordings:] if speaker(found[i].path) not in speakers]
        word = found[0].word
        beside = {word: voices} if n_recordings < FEW else {}
        recordings = {word: [found[i] for i in learned]}
        taught = teacher.teach(recordings, voices=beside, leave_out=False)
        best = np.array([self._smoothed(taught.head, heard[i]).max(initial=0) for i in tried])
        scores = [self._smoothed(taught.head, one) for one in speech]
        hop_s = self._backbone.hop_s
        hours = sum(len(one) for one in speech) * hop_s / 3600
        level = _level_for(scores, self._config.per_hour * hours, hop_s)
        return Trial(
            word=word,
            n_recordings=n_recordings,
            draw=draw,
            missed=float(np.mean(best < THRESHOLD)),
            per_hour=n_firings(scores, THRESHOLD, hop_s) / hours,
            missed_at_rate=float(np.mean(best < level)),
        )

    def _embedded(self, recording: Recording) -> FloatArray:
        """Return the embeddings of all hops at which some of a recording is in the window."""
        n_samples = self._backbone.file.window_samples
        padded = np.pad(recording.samples, n_samples // 2)
        return self._backbone.real(self._backbone.embed_long(padded))

    def _smoothed(self, head: Head, embeddings: FloatArray) -> FloatArray:
        """Return the score that the spotter would compare with the threshold, at each hop."""
        posterior = head.posteriors(embeddings)[:, 0]
        return smooth(posterior, SMOOTHING_HOPS)


def embedded_speech(backbone: Backbone, folder: Path) -> list[Speech]:
    """Return the embeddings of all hops of each audio file of a folder.

    What is said in them is known where ``FOLDER.words.csv`` lies beside the folder.

    Raises
    ------
    ConfigError
        If there is no audio.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise ConfigError(f"{folder}: expected audio files, found none")
    said: dict[str, frozenset[str]] = {}
    if (folder.parent / f"{folder.name}.words.csv").is_file():
        for utterance in read_utterances(folder.parent, folder.name):
            said[utterance.path.stem] = frozenset(word.text for word in utterance.words)
    return [
        Speech(backbone.embed_long(Clip(path, "").read()), said.get(path.stem, frozenset()))
        for path in paths
    ]


def n_firings(scores: Sequence[FloatArray], threshold: float, hop_s: float) -> int:
    """Return how often the spotter would fire on these recordings."""
    suppression_s = SUPPRESSION_MS / 1000
    return sum(
        count_firings(one, threshold, hop_s=hop_s, suppression_s=suppression_s) for one in scores
    )


def _level_for(speech: Sequence[FloatArray], n_events: float, hop_s: float) -> float:
    """Return the lowest threshold that makes at most `n_events` firings."""
    levels = np.unique(np.concatenate(speech))
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        if n_firings(speech, float(levels[middle]), hop_s) <= n_events:
            high = middle
        else:
            low = middle + 1
    return float(levels[low]) if low < len(levels) else float(levels[-1]) + 1e-6


def speaker(path: Path) -> str:
    """Return who speaks in a file, as far as its name tells: Speech Commands' ``ID_nohash_N``."""
    return path.stem.split("_nohash_")[0]
