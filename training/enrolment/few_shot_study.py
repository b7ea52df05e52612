"""The few-shot study: missed detections by the number of recordings, over many random draws."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import count_firings
from kws.decision.smoothing import smooth
from kws.errors import ConfigError
from kws.files import write_atomically
from training.datasets.aligned_speech import read_word_times
from training.datasets.clips import Clip
from training.datasets.folders import recordings_in, speaker_of
from training.embedding.backbone import WordEmbedder
from training.embedding.heads import Head
from training.embedding.negatives import Negatives
from training.enrolment.calibration import SMOOTHING_HOPS
from training.enrolment.config import SUPPRESSION_MS, THRESHOLD, EnrolmentConfig
from training.enrolment.enrol import Enroller
from training.enrolment.recordings import Recording
from training.enrolment.voices import ENOUGH_RECORDINGS

FloatArray = NDArray[np.float32]
# More recordings hardly change the miss rate, and each costs seconds.
MAX_RECORDINGS = 400


@dataclass(frozen=True)
class Trial:
    """One draw of recordings, and how well the enrolled word worked."""

    word: str
    n_recordings: int
    draw: int
    missed: float
    """Share of the other recordings that is missed, at the enrolled threshold."""

    per_hour: float
    """False accepts per hour of held-out speech, at the enrolled threshold."""


@dataclass(frozen=True)
class Speech:
    """A recording of running speech."""

    embeddings: NDArray[np.int8]
    """``(n_hops, size)``."""

    words: frozenset[str]
    """Words that are said in it, if known."""


@dataclass(frozen=True)
class _TestRecordings:
    """All recordings of a word, and the speech without it."""

    recordings: list[Recording]
    speakers: list[str]
    embeddings: list[FloatArray]
    speech: list[FloatArray]


class FewShotStudy:
    """Enrols words from random recordings; tests on the others and on held-out speech.

    Parameters
    ----------
    embedder : WordEmbedder
    negatives : Negatives
    speech : sequence of Speech
        Running speech that nothing was fitted to.
    config : EnrolmentConfig
    """

    def __init__(
        self,
        embedder: WordEmbedder,
        negatives: Negatives,
        speech: Sequence[Speech],
        config: EnrolmentConfig,
    ) -> None:
        self._embedder = embedder
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
    ) -> Iterator[Trial]:
        """Yield a trial for each word, number of recordings and draw.

        Test recordings are by other speakers than the enrolled ones, as the file names tell.
        Synthesised `voices` are added to few recordings, as in `kws-enroll`.

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
            test = self._test_recordings(word, found)
            enroller = Enroller(self._embedder, self._negatives.without([word]), self._config)
            for count in counts:
                beside = (voices or {}).get(word, ()) if count < ENOUGH_RECORDINGS else ()
                for draw in range(draws):
                    yield self._trial(enroller, test, count, draw, beside)

    def _test_recordings(self, word: str, found: Sequence[Recording]) -> _TestRecordings:
        chosen = list(found)
        if len(chosen) > MAX_RECORDINGS:
            rng = np.random.default_rng(self._config.seed)
            kept = rng.choice(len(chosen), MAX_RECORDINGS, replace=False)
            chosen = [found[i] for i in np.sort(kept)]
        speakers = [speaker_of(one.path) for one in chosen]
        if len(set(speakers)) == 1:
            # The names tell no speakers, as those of kws-enroll's own recordings.
            speakers = [str(one.path) for one in chosen]
        padding = self._embedder.backbone.window_samples // 2
        embeddings = [
            self._embed(self._embedder.embed_recording(np.pad(one.samples, padding)))
            for one in chosen
        ]
        speech = [
            self._embed(one.embeddings) for one in self._speech if word.lower() not in one.words
        ]
        return _TestRecordings(chosen, speakers, embeddings, speech)

    def _trial(
        self,
        enroller: Enroller,
        test: _TestRecordings,
        n_recordings: int,
        draw: int,
        voices: Sequence[Recording],
    ) -> Trial:
        rng = np.random.default_rng((self._config.seed, n_recordings, draw))
        order = rng.permutation(len(test.recordings))
        enrolled, others = order[:n_recordings], order[n_recordings:]
        speakers = {test.speakers[i] for i in enrolled}
        word = test.recordings[0].word
        head = enroller.enrol(
            {word: [test.recordings[i] for i in enrolled]}, voices={word: voices}, leave_out=False
        ).head
        best = np.array(
            [
                _scores(head, test.embeddings[i]).max(initial=0)
                for i in others
                if test.speakers[i] not in speakers
            ]
        )
        speech = [_scores(head, one) for one in test.speech]
        hop_s = self._embedder.hop_s
        hours = sum(len(one) for one in test.speech) * hop_s / 3600
        return Trial(
            word=word,
            n_recordings=n_recordings,
            draw=draw,
            missed=float(np.mean(best < THRESHOLD)),
            per_hour=n_firings(speech, THRESHOLD, hop_s) / hours,
        )

    def _embed(self, embeddings: NDArray[np.int8]) -> FloatArray:
        return self._embedder.dequantize(embeddings)


def _scores(head: Head, embeddings: FloatArray) -> FloatArray:
    """Return the smoothed posterior at each hop."""
    return smooth(head.posteriors(embeddings)[:, 0], SMOOTHING_HOPS)


def n_firings(scores: Sequence[FloatArray], threshold: float, hop_s: float) -> int:
    """Return how often the spotter would fire on these recordings."""
    suppression_s = SUPPRESSION_MS / 1000
    return sum(
        count_firings(one, threshold, hop_s=hop_s, suppression_s=suppression_s) for one in scores
    )


def embed_speech(embedder: WordEmbedder, folder: Path) -> list[Speech]:
    """Return the embeddings of each audio file; ``FOLDER.words.csv`` beside it lists the words."""
    paths = recordings_in(folder, deep=True)
    words: dict[str, frozenset[str]] = {}
    table = folder.parent / f"{folder.name}.words.csv"
    if table.is_file():
        for name, spoken in read_word_times(table).items():
            words[name] = frozenset(word.text for word in spoken)
    return [
        Speech(embedder.embed_recording(Clip(path, "").read()), words.get(path.stem, frozenset()))
        for path in paths
    ]


def write_study(out: Path, trials: Sequence[Trial]) -> str:
    """Write ``trials.csv`` and ``table.md`` into `out`; return the table."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Trial)])
    writer.writeheader()
    writer.writerows(asdict(trial) for trial in trials)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "trials.csv", buffer.getvalue())
    text = _table(trials)
    write_atomically(out / "table.md", text + "\n")
    return text


def _table(trials: Sequence[Trial]) -> str:
    """Return the trials as Markdown: mean ± standard deviation over the draws."""
    lines = [
        "| word | recordings | draws | missed, % | false accepts per hour |",
        "|---|--:|--:|--:|--:|",
    ]
    order = list(dict.fromkeys(trial.word for trial in trials))
    places = sorted({(order.index(one.word), one.n_recordings) for one in trials})
    for word, count in ((order[number], count) for number, count in places):
        chosen = [t for t in trials if (t.word, t.n_recordings) == (word, count)]
        cells = (
            _mean_and_spread([100 * one.missed for one in chosen], 1),
            _mean_and_spread([one.per_hour for one in chosen], 2),
        )
        lines.append(f"| {word} | {count} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_and_spread(values: Sequence[float], digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"
