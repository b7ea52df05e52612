"""Teach words: from recordings to a calibrated head and a verdict on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.embedding import fit_head as heads
from training.embedding.head import Head
from training.embedding.word_backbone import Backbone
from training.enrolment.alignment import aligned
from training.enrolment.augmented_copies import windows
from training.enrolment.calibration import Tail, smoothed
from training.enrolment.config import EnrolmentConfig, Taught
from training.enrolment.negatives import Negatives
from training.enrolment.recordings import Recording
from training.enrolment.voices import COPIES, with_voices

FloatArray = NDArray[np.float32]
# Negatives that a head is fitted to: the hardest, and as many at random for the rest of the space.
HARD, RANDOM = 6_000, 6_000
# How often the hardest are looked for: first by a head that has seen random ones alone.
ROUNDS = 2
FOLDS = 4
MOST_LEFT_OUT = 10
# Many recordings need fewer copies each: people differ more than rooms.
MOST_COPIES, LEAST_COPIES = 600, 12
# A word said well lies this far above its threshold, so that its posterior is 0.98 there.
TYPICAL_LOGIT = 4.0
# Beside the numbers of words, what seeds the copies of voices.
VOICES = 1_000
Progress = Callable[[str, float], None]


class Teacher:
    """Learns heads on one backbone and one set of negatives.

    Parameters
    ----------
    backbone : Backbone
    negatives : Negatives
        Windows without the words.
    config : EnrolmentConfig
    progress : callable, optional
        Called with what is being done and how far it is, 0..1.
    """

    def __init__(
        self,
        backbone: Backbone,
        negatives: Negatives,
        config: EnrolmentConfig | None = None,
        *,
        progress: Progress = lambda what, share: None,
    ) -> None:
        self.backbone = backbone
        self.config = config or EnrolmentConfig()
        self._negatives = negatives
        self._progress = progress
        if not negatives.speech_hours(backbone.hop_s):
            raise ConfigError(
                "negatives: expected running speech among them, on which thresholds are set"
            )

    def teach(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        *,
        voices: Mapping[str, Sequence[Recording]] | None = None,
        leave_out: bool = True,
    ) -> Taught:
        """Return what the recordings of each word teach, with the `voices` most like them.

        Without `leave_out` no recording is tried by a head that the others taught, which takes
        as many times as long as there are recordings, up to ten.

        Raises
        ------
        ConfigError
            If a word has no recording.
        """
        words = tuple(recordings)
        for word in words:
            if not recordings[word]:
                raise ConfigError(f"{word!r}: expected at least one recording, got none")
        self._progress("finding the words", 0.0)
        found = {word: aligned(recordings[word], self.backbone) for word in words}
        copies = [self._copies(found[word], number) for number, word in enumerate(words)]
        spoken = [self._spoken(found[word], (voices or {}).get(word, ())) for word in words]
        positives, labels = heads.stacked([np.concatenate(parts) for parts in copies])
        self._progress("learning", 0.3)
        taken = self._hardest(words, positives, labels)
        learned_from = self.backbone.real(self._negatives.windows(taken))
        n_alike = [0] * len(words)
        if any(spoken):
            positives, labels, n_alike = with_voices(words, positives, labels, spoken, learned_from)
            taken = self._hardest(words, positives, labels)
            learned_from = self.backbone.real(self._negatives.windows(taken))
        head = self._learn(words, positives, labels, learned_from)
        self._progress("trying it on speech it has not learned from", 0.5)
        held_out = self._held_out(head, positives, labels, taken, learned_from)
        runs = self._negatives.speech_runs(held_out)
        hop_s = self.backbone.hop_s
        tails = {
            word: Tail.of([run[:, n] for run in runs], hop_s=hop_s) for n, word in enumerate(words)
        }
        thresholds = {word: tails[word].threshold(self.config.per_hour) for word in words}
        level = np.array([thresholds[word] for word in words], np.float32)
        gain = self._gain(head, positives, labels, level)
        calibrated = head.calibrated(level, gain)
        self._progress("leaving each recording out in turn", 0.7)
        left_out = {
            word: self._left_out(
                words, copies, spoken, number, found[word], learned_from, level, gain
            )
            if leave_out
            else []
            for number, word in enumerate(words)
        }
        return Taught(
            head=calibrated,
            tails=tails,
            thresholds=thresholds,
            recordings=found,
            voices=dict(zip(words, n_alike)),
            left_out=left_out,
            confused={
                word: self._confused(held_out[:, number] - thresholds[word])
                for number, word in enumerate(words)
            },
        )

    def _copies(
        self, recordings: Sequence[Recording], number: int, *, n_copies: int = MOST_COPIES
    ) -> list[FloatArray]:
        """Return the embeddings of the copies of each recording."""
        parts = []
        most = max(LEAST_COPIES, MOST_COPIES // len(recordings))
        n_copies = min(self.config.copies, n_copies, most)
        for index, one in enumerate(recordings):
            rng = np.random.default_rng((self.config.seed, number, index))
            made = windows(
                one,
                rng,
                n_copies=n_copies,
                n_samples=self.backbone.file.window_samples,
            )
            parts.append(self.backbone.embed(made))
            self._progress("hearing copies of the recordings", 0.3 * index / len(recordings))
        return parts

    def _spoken(
        self, recordings: Sequence[Recording], voices: Sequence[Recording]
    ) -> list[FloatArray]:
        """Return the embeddings of the copies of each voice, placed as the recordings are."""
        if not voices:
            return []
        placed = aligned([*recordings, *voices], self.backbone)[len(recordings) :]
        return self._copies(placed, number=VOICES, n_copies=COPIES)

    def _learn(
        self,
        words: tuple[str, ...],
        positives: FloatArray,
        labels: NDArray[np.intp],
        negatives: FloatArray,
    ) -> Head:
        """Return a head of the configured kind."""
        learn = heads.KINDS[self.config.head]
        return learn(heads.Examples(words, positives, labels, negatives))

    def _hardest(
        self, words: tuple[str, ...], positives: FloatArray, labels: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return the numbers of the hardest windows, and of some of the others."""
        rng = np.random.default_rng(self.config.seed)
        n_windows = len(self._negatives)
        some = np.sort(rng.choice(n_windows, min(RANDOM, n_windows), replace=False))
        taken = some
        for _ in range(ROUNDS):
            # Logistic regression, whatever is learned in the end: it finds the same and is quick.
            real = self.backbone.real(self._negatives.windows(taken))
            head = heads.logistic(heads.Examples(words, positives, labels, real))
            # Of each word its own: where one scores high, another would find none.
            order = np.argsort(self._logits(head), axis=0)[::-1]
            taken = np.union1d(some, order[: HARD // len(words)])
        return taken

    def _logits(self, head: Head) -> FloatArray:
        """Return the logits of all negatives, ``(n, n_words)``."""
        chunks = self._negatives.chunks()
        return np.concatenate([head.logits(self.backbone.real(chunk)) for chunk in chunks])

    def _held_out(
        self,
        head: Head,
        positives: FloatArray,
        labels: NDArray[np.intp],
        taken: NDArray[np.intp],
        learned_from: FloatArray,
    ) -> FloatArray:
        """Return what the head would say of the negatives had it not learned from them.

        A head that learned from other speakers alone says too much: it knows a quarter less
        speech. The head itself says too little. Of computer, jarvis and snowboy on dev_clean the
        truth was between half and nine tenths of the way; half is the careful end.
        """
        _, ranks = np.unique(self._negatives.groups, return_inverse=True)
        fold = (ranks % FOLDS)[self._negatives.runs]
        logits = self._logits(head)
        for number in range(FOLDS):
            others = learned_from[fold[taken] != number]
            if not len(others) or not np.any(fold == number):
                continue
            other = self._learn(head.words, positives, labels, others)
            rows = fold == number
            logits[rows] = (logits[rows] + self._logits(other)[rows]) / 2
        return logits

    def _gain(
        self, head: Head, positives: FloatArray, labels: NDArray[np.intp], level: FloatArray
    ) -> FloatArray:
        """Return factors that put a typical copy of each word at `TYPICAL_LOGIT`."""
        logits = head.logits(positives)
        typical = np.array(
            [np.median(logits[labels == number, number]) for number in range(len(level))]
        )
        return np.asarray(np.clip(TYPICAL_LOGIT / np.maximum(typical - level, 0.5), 0.25, 4.0))

    def _left_out(
        self,
        words: tuple[str, ...],
        copies: list[list[FloatArray]],
        spoken: list[list[FloatArray]],
        number: int,
        recordings: Sequence[Recording],
        learned_from: FloatArray,
        level: FloatArray,
        gain: FloatArray,
    ) -> list[float]:
        """Return the best logit of each recording by a head that did not learn from it."""
        if len(recordings) < 2:
            return []
        heard = []
        for fold in range(min(MOST_LEFT_OUT, len(recordings))):
            left = range(fold, len(recordings), MOST_LEFT_OUT)
            kept = [
                np.concatenate([p for i, p in enumerate(parts) if word != number or i not in left])
                for word, parts in enumerate(copies)
            ]
            positives, labels = heads.stacked(kept)
            if any(spoken):
                positives, labels, _ = with_voices(words, positives, labels, spoken, learned_from)
            head = self._learn(words, positives, labels, learned_from).calibrated(level, gain)
            heard += [(index, self._best(head, recordings[index], number)) for index in left]
        return [logit for _, logit in sorted(heard)]

    def _best(self, head: Head, recording: Recording, number: int) -> float:
        """Return the highest logit of a word over the hops of a recording."""
        n_samples = self.backbone.file.window_samples
        # As in running audio: the word moves through the window.
        padded = np.pad(recording.samples, n_samples // 2)
        embeddings = self.backbone.real(self.backbone.embed_long(padded))
        return float(smoothed(head.logits(embeddings)[:, number]).max())

    def _confused(self, above: FloatArray) -> list[tuple[str, float]]:
        """Return which words of the bank go above the threshold, the worst first."""
        runs = self._negatives.runs
        best = np.full(len(self._negatives.lengths), -np.inf)
        np.maximum.at(best, runs, above)
        labels = self._negatives.labels
        shares = {
            str(word): float(np.mean(best[labels == word] >= 0))
            for word in np.unique(labels[labels != ""])
        }
        worst = sorted(shares.items(), key=lambda item: -item[1])
        return [(word, share) for word, share in worst if share > 0.02][:5]
