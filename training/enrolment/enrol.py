"""Enrol words: from recordings to a calibrated head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.embedding.backbone import WordEmbedder
from training.embedding.heads import Examples, Head, fit_logistic, stack
from training.embedding.negatives import Negatives
from training.enrolment.augmented_copies import windows
from training.enrolment.calibration import ScoreTail, smoothed
from training.enrolment.config import Enrolment, EnrolmentConfig
from training.enrolment.recordings import Recording, align
from training.enrolment.voices import VOICE_COPIES, add_voices

FloatArray = NDArray[np.float32]
# A head is fitted to the hardest negatives, and to random ones that cover the rest of the space.
N_HARD, N_RANDOM = 6_000, 6_000
# The first round finds the hardest negatives by a head that was fitted to random ones only.
HARD_ROUNDS = 2
SPEAKER_FOLDS = 4
MAX_LEFT_OUT_FOLDS = 10
# Many recordings need fewer copies each: people differ more than rooms.
MAX_COPIES, MIN_COPIES = 600, 12
# Logit of a typical copy: a posterior of 0.98.
TYPICAL_LOGIT = 4.0
# Seeds the copies of voices, where recordings use the number of their word.
VOICE_SEED = 1_000
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class _Positives:
    """Embeddings of the copies of recordings and voices, each ``(n_copies, size)``."""

    words: tuple[str, ...]
    recordings: list[list[FloatArray]]
    """For each word, one array per recording."""

    voices: list[list[FloatArray]]
    """For each word, one array per synthesised voice."""

    def examples(
        self,
        negatives: FloatArray,
        *,
        with_voices: bool = True,
        left_out: tuple[int, Collection[int]] = (0, ()),
    ) -> tuple[Examples, list[int]]:
        """Return examples, and how many voices were added to each word.

        `left_out` is a word's number, and the numbers of its recordings to leave out.
        """
        word, indices = left_out
        kept = [
            np.concatenate([p for i, p in enumerate(parts) if n != word or i not in indices])
            for n, parts in enumerate(self.recordings)
        ]
        examples = Examples(self.words, *stack(kept), negatives)
        if with_voices and any(self.voices):
            return add_voices(examples, self.voices)
        return examples, [0] * len(self.words)


class Enroller:
    """Fits heads on one backbone and one set of negatives.

    Parameters
    ----------
    embedder : WordEmbedder
    negatives : Negatives
        Audio without the words.
    config : EnrolmentConfig
    progress : callable, optional
        Called with the current step and the share of work done, 0..1.
    """

    def __init__(
        self,
        embedder: WordEmbedder,
        negatives: Negatives,
        config: EnrolmentConfig | None = None,
        *,
        progress: Progress = lambda what, share: None,
    ) -> None:
        self._embedder = embedder
        self._config = config or EnrolmentConfig()
        self._negatives = negatives
        self._progress = progress
        if not negatives.speech_hours(embedder.hop_s):
            raise ConfigError("negatives: expected running speech, which thresholds are set on")

    def enrol(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        *,
        voices: Mapping[str, Sequence[Recording]] | None = None,
        leave_out: bool = True,
    ) -> Enrolment:
        """Return a calibrated head for the words of these recordings.

        Parameters
        ----------
        recordings : mapping of str to sequence of Recording
        voices : mapping of str to sequence of Recording, optional
            Synthesised voices; those most similar to the recordings are used too.
        leave_out : bool
            Also score each recording by a head fitted without it. Multiplies the time by the
            number of recordings, up to ten.

        Raises
        ------
        ConfigError
            If a word has no recording.
        """
        words = tuple(recordings)
        for word in words:
            if not recordings[word]:
                raise ConfigError(f"{word!r}: expected at least one recording, got none")
        self._progress("aligning recordings", 0.0)
        aligned = {word: align(recordings[word], self._embedder) for word in words}
        positives = self._positives(aligned, voices or {})
        self._progress("fitting the head", 0.3)
        examples, rows, n_voices = self._examples(positives)
        head = fit_logistic(examples)
        self._progress("setting thresholds on speech", 0.5)
        held_out = self._held_out_logits(head, examples, rows)
        segments = self._negatives.speech_segments(held_out)
        hop_s = self._embedder.hop_s
        tails = {
            word: ScoreTail.fit([one[:, n] for one in segments], hop_s=hop_s)
            for n, word in enumerate(words)
        }
        thresholds = {word: tails[word].threshold(self._config.per_hour) for word in words}
        level = np.array(list(thresholds.values()), np.float32)
        gain = _gain(head, examples, level)
        calibrate = partial(Head.calibrated, thresholds=level, gain=gain)
        left_out: dict[str, list[float]] = {word: [] for word in words}
        if leave_out:
            self._progress("testing each recording with the others", 0.7)
            left_out = self._left_out_logits(positives, aligned, examples.negatives, calibrate)
        return Enrolment(
            head=calibrate(head),
            tails=tails,
            thresholds=thresholds,
            recordings=aligned,
            voices=dict(zip(words, n_voices)),
            left_out=left_out,
            confused={
                word: self._confused(held_out[:, number] - thresholds[word])
                for number, word in enumerate(words)
            },
        )

    def _positives(
        self, aligned: Mapping[str, list[Recording]], voices: Mapping[str, Sequence[Recording]]
    ) -> _Positives:
        copies, spoken = [], []
        for number, (word, found) in enumerate(aligned.items()):
            copies.append(self._embed_copies(found, number))
            beside = voices.get(word, ())
            # Voices are aligned with the recordings.
            placed = align([*found, *beside], self._embedder)[len(found) :] if beside else []
            spoken.append(self._embed_copies(placed, VOICE_SEED, n_copies=VOICE_COPIES))
        return _Positives(tuple(aligned), copies, spoken)

    def _embed_copies(
        self, recordings: Sequence[Recording], seed: int, *, n_copies: int = MAX_COPIES
    ) -> list[FloatArray]:
        """Return the embeddings of the augmented copies of each recording."""
        parts = []
        most = max(MIN_COPIES, MAX_COPIES // max(1, len(recordings)))
        n_copies = min(self._config.copies, n_copies, most)
        n_samples = self._embedder.backbone.window_samples
        for index, one in enumerate(recordings):
            rng = np.random.default_rng((self._config.seed, seed, index))
            made = windows(one, rng, n_copies=n_copies, n_samples=n_samples)
            parts.append(self._embedder.embed(made))
            self._progress("embedding augmented copies", 0.3 * index / len(recordings))
        return parts

    def _examples(self, positives: _Positives) -> tuple[Examples, NDArray[np.intp], list[int]]:
        """Return examples with hard negatives, the negatives' rows, and the voices per word."""
        no_negatives = np.empty((0, self._embedder.size), np.float32)
        examples, n_voices = positives.examples(no_negatives, with_voices=False)
        rows = self._hardest(examples)
        negatives = self._embed_negatives(rows)
        if any(positives.voices):
            examples, n_voices = positives.examples(negatives)
            rows = self._hardest(examples)
            negatives = self._embed_negatives(rows)
        return replace(examples, negatives=negatives), rows, n_voices

    def _embed_negatives(self, rows: NDArray[np.intp]) -> FloatArray:
        return self._embedder.dequantize(self._negatives.windows(rows))

    def _hardest(self, examples: Examples) -> NDArray[np.intp]:
        """Return the rows of the hardest negatives, and of random ones."""
        rng = np.random.default_rng(self._config.seed)
        n_windows = len(self._negatives)
        random = np.sort(rng.choice(n_windows, min(N_RANDOM, n_windows), replace=False))
        rows = random
        for _ in range(HARD_ROUNDS):
            head = fit_logistic(replace(examples, negatives=self._embed_negatives(rows)))
            # Each word has its own hard negatives.
            order = np.argsort(self._logits(head), axis=0)[::-1]
            rows = np.union1d(random, order[: N_HARD // len(examples.words)])
        return rows

    def _logits(self, head: Head) -> FloatArray:
        """Return the logits of all negatives, ``(n, n_words)``."""
        chunks = self._negatives.chunks()
        return np.concatenate([head.logits(self._embedder.dequantize(one)) for one in chunks])

    def _held_out_logits(
        self, head: Head, examples: Examples, rows: NDArray[np.intp]
    ) -> FloatArray:
        """Return the logits of the negatives, as if the head had not been fitted to them.

        Heads fitted to other speakers score too high, because they know a quarter less speech.
        The head itself scores too low. For three words on LibriSpeech dev-clean the truth was
        between half and nine tenths of the way up; half is the careful end.
        """
        _, ranks = np.unique(self._negatives.groups, return_inverse=True)
        fold = (ranks % SPEAKER_FOLDS)[self._negatives.segments]
        logits = self._logits(head)
        for number in range(SPEAKER_FOLDS):
            others = replace(examples, negatives=examples.negatives[fold[rows] != number])
            if not len(others.negatives) or not np.any(fold == number):
                continue
            held = fold == number
            logits[held] = (logits[held] + self._logits(fit_logistic(others))[held]) / 2
        return logits

    def _left_out_logits(
        self,
        positives: _Positives,
        aligned: Mapping[str, Sequence[Recording]],
        negatives: FloatArray,
        calibrate: Callable[[Head], Head],
    ) -> dict[str, list[float]]:
        """Return the best logit of each recording by a head that was fitted without it."""
        logits: dict[str, list[float]] = {}
        for number, word in enumerate(positives.words):
            recordings = aligned[word]
            n = len(recordings)
            best = np.zeros(n if n > 1 else 0)
            for fold in range(min(MAX_LEFT_OUT_FOLDS, len(best))):
                indices = range(fold, n, MAX_LEFT_OUT_FOLDS)
                examples, _ = positives.examples(negatives, left_out=(number, indices))
                head = calibrate(fit_logistic(examples))
                for index in indices:
                    best[index] = self._best_logit(head, recordings[index], number)
            logits[word] = best.tolist()
        return logits

    def _best_logit(self, head: Head, recording: Recording, word: int) -> float:
        """Return the highest score of a word over the hops of a recording, as a logit."""
        # As in running audio, the word moves through the window.
        padded = np.pad(recording.samples, self._embedder.backbone.window_samples // 2)
        embeddings = self._embedder.dequantize(self._embedder.embed_recording(padded))
        return float(smoothed(head.logits(embeddings)[:, word]).max())

    def _confused(self, above: FloatArray) -> list[tuple[str, float]]:
        """Return the single words that most often exceed the threshold, with their shares."""
        best = np.full(len(self._negatives.lengths), -np.inf)
        np.maximum.at(best, self._negatives.segments, above)
        labels = self._negatives.labels
        shares = {
            str(word): float(np.mean(best[labels == word] >= 0))
            for word in np.unique(labels[labels != ""])
        }
        worst = sorted(shares.items(), key=lambda item: -item[1])
        return [(word, share) for word, share in worst if share > 0.02][:5]


def _gain(head: Head, examples: Examples, level: FloatArray) -> FloatArray:
    """Return factors that put the median copy of each word at `TYPICAL_LOGIT`."""
    logits = head.logits(examples.positives)
    typical = np.array(
        [np.median(logits[examples.labels == number, number]) for number in range(len(level))]
    )
    return np.asarray(np.clip(TYPICAL_LOGIT / np.maximum(typical - level, 0.5), 0.25, 4.0))
