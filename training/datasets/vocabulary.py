"""A large vocabulary as classes: folders of recordings, and frequent words of running speech."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE, UNKNOWN
from kws.errors import ConfigError
from training.config.data_sections import DataConfig, SourceConfig, WordsConfig
from training.datasets import aligned_speech, folders, noise, synthetic_noise, twelve_class
from training.datasets.aligned_speech import ExcludedWords, SpeechWindows, Utterance
from training.datasets.clips import SAMPLE_RATE, Clip, to_int16
from training.datasets.folders import by_label, speaker_of

ByWord = Mapping[str, list[Clip]]


@dataclass(frozen=True)
class Vocabulary:
    """The clips for training and for validation; no audio is read yet."""

    labels: tuple[str, ...]
    """In output order: the words, then ``_unknown_`` and ``_silence_`` where they are drawn."""

    recorded: ByWord
    """Recordings of single words for training."""

    cuts: ByWord
    """Training clips cut from running speech."""

    synthetic: ByWord
    windows: SpeechWindows
    """Random seconds of the running speech for training."""

    validation: list[Clip]

    @property
    def words(self) -> tuple[str, ...]:
        """The labels that are words."""
        return tuple(label for label in self.labels if label not in (SILENCE, UNKNOWN))

    @property
    def training(self) -> list[Clip]:
        """All recordings and cuts for training, by word."""
        return [
            clip
            for word in self.words
            for clip in (*self.recorded.get(word, ()), *self.cuts.get(word, ()))
        ]


def open_vocabulary(data: DataConfig, source: SourceConfig, words: WordsConfig) -> Vocabulary:
    """Return the words of folders and of running speech, split by speaker.

    Folders are split by Speech Commands' lists or its hash rule. A share of the speakers of
    running speech is for validation (``source.validation_share``, drawn with ``source.seed``).

    Raises
    ------
    ConfigError
        If a folder is missing, a class has no clips, or nothing is left to train or validate.
    """
    root = data.root()
    excluded = ExcludedWords(words.excluded)
    training, held_out = split_speakers(read_speech(data, words), source)
    spoken = excluded.among(word.text for part in (*training, *held_out) for word in part.words)
    splits = folders.scan(*data.roots())
    least = SAMPLE_RATE * words.min_word_ms // 1_000
    cuts = aligned_speech.cut_words(training, exclude=spoken, min_samples=least)
    recorded = excluded.without(by_label(splits["training"]))
    windows = SpeechWindows.from_utterances(training, exclude=spoken)
    has_noise = noise.noise_files(root) or data.path("environment")
    others = (
        *((UNKNOWN,) if words.unknown_share and windows.spans else ()),
        *((SILENCE,) if words.silence_share and has_noise else ()),
    )
    labels = chosen_labels(word_classes(recorded, cuts, words), data, others, root=root)
    synthetic = data.path("synthetic")
    return Vocabulary(
        labels=labels,
        recorded=only(recorded, labels),
        cuts=only(cuts, labels),
        synthetic=only(excluded.without(folders.by_word(synthetic)), labels) if synthetic else {},
        windows=windows,
        validation=validation_clips(
            only(excluded.without(by_label(splits["validation"])), labels),
            only(aligned_speech.cut_words(held_out, exclude=spoken, min_samples=least), labels),
            SpeechWindows.from_utterances(held_out, exclude=spoken),
            labels=labels,
            words=words,
            root=root,
        ),
    )


def read_speech(data: DataConfig, words: WordsConfig) -> list[Utterance]:
    """Return the running speech of the recipe, if it names any."""
    root = data.path("speech")
    utterances = aligned_speech.read_utterances(root, data.speech_split) if root else []
    if not words.excluded:
        return utterances
    # An utterance without word times may hold an excluded word.
    return [utterance for utterance in utterances if utterance.words]


def split_speakers(
    utterances: list[Utterance], source: SourceConfig
) -> tuple[list[Utterance], list[Utterance]]:
    """Return the utterances for training, and those of other speakers for validation."""
    speakers = sorted({speaker_of(utterance.path) for utterance in utterances})
    if len(speakers) < 2:
        return utterances, []
    count = max(1, round(source.validation_share * len(speakers)))
    drawn = np.random.default_rng(source.seed).permutation(len(speakers))[:count]
    kept = {speakers[index] for index in drawn}
    sides: tuple[list[Utterance], list[Utterance]] = ([], [])
    for utterance in utterances:
        sides[speaker_of(utterance.path) in kept].append(utterance)
    return sides


def word_classes(recorded: ByWord, cuts: ByWord, words: WordsConfig) -> list[str]:
    """Return the recorded words and the frequent ones, sorted; one of each set of homophones."""
    classes = {*recorded, *(word for word in cuts if is_frequent(cuts[word], words))}
    alike = {same for word in classes for same in aligned_speech.HOMOPHONES.get(word, ())}
    return sorted(classes - (alike - set(recorded)))


def is_frequent(cuts: list[Clip], words: WordsConfig) -> bool:
    """Whether a word occurs often enough, from enough speakers, to be a class."""
    speakers = {speaker_of(clip.path) for clip in cuts}
    return len(cuts) >= words.min_cuts and len(speakers) >= words.min_speakers


def chosen_labels(
    classes: list[str], data: DataConfig, others: tuple[str, ...], *, root: Path
) -> tuple[str, ...]:
    """Return the labels in output order: `classes`, then `others`; ``data.classes`` picks some."""
    labels = (*classes, *others)
    if missing := [label for label in data.classes if label not in labels]:
        raise ConfigError(
            f"{root}: data.classes: no clips to train {', '.join(missing)}, or excluded by "
            "words.excluded"
        )
    labels = data.classes or labels
    if len(set(labels) - set(others)) < 2:
        raise ConfigError(f"{root}: expected clips of two words or more, got {', '.join(classes)}")
    return labels


def validation_clips(
    recorded: ByWord,
    cuts: ByWord,
    windows: SpeechWindows,
    *,
    labels: tuple[str, ...],
    words: WordsConfig,
    root: Path,
) -> list[Clip]:
    """Return the validation clips, with unknown and silent ones in the shares of training."""
    rng = np.random.default_rng(twelve_class.DEFAULT_SEED)
    clips = [clip for word in labels for clip in recorded.get(word, ())]
    clips += [
        WordInWindow(clip.path, clip.label, clip.start, clip.n_samples)
        for word in labels
        for clip in cuts.get(word, ())
    ]
    if not clips:
        raise ConfigError(f"{root}: no clip of {', '.join(labels[:3])}, ... is left for validation")
    n_words = len(clips) / (1 - words.unknown_share - words.silence_share)
    if UNKNOWN in labels and windows.spans:
        clips += [windows.draw(rng) for _ in range(round(n_words * words.unknown_share))]
    if SILENCE in labels:
        clips += twelve_class.silence_cuts(
            root, "validation", round(n_words * words.silence_share), rng
        )
    return clips


def only(clips: ByWord, labels: tuple[str, ...]) -> dict[str, list[Clip]]:
    """Return the clips whose words are labels."""
    return {word: clips[word] for word in labels if word in clips}


SNR_DB = 25.0


class WordInWindow(Clip):
    """A cut word in the middle of a second of soft synthetic noise, the same each time.

    Digital silence around it would be unlike any recording and any training clip.
    """

    def read(self) -> NDArray[np.int16]:
        """Return mono int16 ``(16_000,)`` at 16 kHz, or the cut itself if it is longer."""
        samples = super().read()
        missing = max(0, SAMPLE_RATE - len(samples))
        whole = np.pad(samples, (missing // 2, missing - missing // 2)).astype(np.float32)
        seed = zlib.crc32(f"{self.path.name} {self.start}".encode())
        background = synthetic_noise.coloured(np.random.default_rng(seed), len(whole))
        return to_int16(noise.add_noise(whole, background, SNR_DB))
