"""Many words as classes: folders of recordings, and what is frequent in running speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ConfigError
from training.config.sections import SILENCE, UNKNOWN, DataConfig
from training.config.source_section import SourceConfig
from training.config.word_section import WordsConfig
from training.datasets import aligned_speech as running_speech
from training.datasets import folders
from training.datasets import twelve_class as protocol
from training.datasets.aligned_speech import SpeechWindows, Utterance
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.excluded_words import LeftOut
from training.datasets.noise import noise_files
from training.datasets.speakers import speaker_of
from training.datasets.word_in_window import PlacedWord

ByWord = Mapping[str, list[Clip]]


@dataclass(frozen=True)
class WordData:
    """Which clips train and which validate; nothing of them is read yet."""

    labels: tuple[str, ...]
    """In output order: the words, then ``_unknown_`` and ``_silence_`` where they are drawn."""

    recorded: ByWord
    """Training clips of words said by themselves."""

    cuts: ByWord
    """Training clips cut from running speech."""

    synthetic: ByWord
    windows: SpeechWindows
    """Random seconds of the running speech that trains."""

    validation: list[Any]

    @property
    def words(self) -> tuple[str, ...]:
        """The labels that are words."""
        return tuple(label for label in self.labels if label not in (SILENCE, UNKNOWN))

    @property
    def training(self) -> list[Clip]:
        """All recordings and cuts that train, by word."""
        return [
            clip
            for word in self.words
            for clip in (*self.recorded.get(word, ()), *self.cuts.get(word, ()))
        ]


def open_words(data: DataConfig, source: SourceConfig, words: WordsConfig) -> WordData:
    """Return the words of folders and of running speech; speakers never cross to validation.

    Folders are split by Speech Commands' lists or its hash rule. Of the speakers of running
    speech, ``source.validation_share`` validate, drawn by ``source.seed``.

    Raises
    ------
    ConfigError
        If a folder is missing, a class has no clips, or nothing is left to train or validate.
    """
    root = data.path("clips")
    if root is None:
        raise ConfigError("data.clips: expected a folder, got an empty path")
    hidden = LeftOut(words.left_out)
    training, held_out = split_speakers(read_speech(data, words), source)
    spoken = hidden.of(word.text for part in (*training, *held_out) for word in part.words)
    splits = folders.scan(root)
    least = SAMPLE_RATE * words.least_ms // 1_000
    cuts = running_speech.cut_words(training, exclude=spoken, min_samples=least)
    recorded = hidden.without(by_label(splits["training"]))
    windows = SpeechWindows.from_utterances(training, exclude=spoken)
    others = (
        *((UNKNOWN,) if words.unknown_share and windows.spans else ()),
        *((SILENCE,) if words.silence_share and has_noise(data, root) else ()),
    )
    labels = chosen_labels(word_classes(recorded, cuts, words), data, others, root=root)
    synthetic = data.path("synthetic")
    return WordData(
        labels=labels,
        recorded=only(recorded, labels),
        cuts=only(cuts, labels),
        synthetic=only(hidden.without(folders.by_word(synthetic)), labels) if synthetic else {},
        windows=windows,
        validation=validation_clips(
            only(hidden.without(by_label(splits["validation"])), labels),
            only(running_speech.cut_words(held_out, exclude=spoken, min_samples=least), labels),
            SpeechWindows.from_utterances(held_out, exclude=spoken),
            labels=labels,
            words=words,
            root=root,
        ),
    )


def read_speech(data: DataConfig, words: WordsConfig) -> list[Utterance]:
    """Return the running speech that may be heard; none where the recipe names none."""
    root = data.path("speech")
    utterances = running_speech.read_utterances(root, data.speech_split) if root else []
    if not words.left_out:
        return utterances
    # Without word times nobody knows whether a word that is left out is in it.
    return [utterance for utterance in utterances if utterance.words]


def split_speakers(
    utterances: list[Utterance], source: SourceConfig
) -> tuple[list[Utterance], list[Utterance]]:
    """Return the utterances that train, and those of the speakers that are kept to validate."""
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
    """Return the recorded words and the frequent ones, sorted; of words that sound alike one."""
    classes = {*recorded, *(word for word in cuts if is_frequent(cuts[word], words))}
    alike = {same for word in classes for same in running_speech.HOMOPHONES.get(word, ())}
    return sorted(classes - (alike - set(recorded)))


def is_frequent(cuts: list[Clip], words: WordsConfig) -> bool:
    """Whether a word was said often enough, by speakers enough, to be a class."""
    speakers = {speaker_of(clip.path) for clip in cuts}
    return len(cuts) >= words.least_cuts and len(speakers) >= words.least_speakers


def has_noise(data: DataConfig, root: Path) -> bool:
    """Whether there is something to be silent with."""
    return bool(noise_files(root) or data.path("environment"))


def chosen_labels(
    classes: list[str], data: DataConfig, others: tuple[str, ...], *, root: Path
) -> tuple[str, ...]:
    """Return the labels in output order: `classes`, then `others`; ``data.classes`` picks some.

    Raises
    ------
    ConfigError
        If a class that is named is not there, or there are fewer than two words.
    """
    labels = (*classes, *others)
    if missing := [label for label in data.classes if label not in labels]:
        raise ConfigError(
            f"{root}: data.classes: no clips to train {', '.join(missing)}, or left out by "
            "words.left_out"
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
) -> list[Any]:
    """Return the clips that validate, with unknown and silent ones in the shares of training.

    Raises
    ------
    ConfigError
        If there are none.
    """
    rng = np.random.default_rng(protocol.DEFAULT_SEED)
    clips: list[Any] = [clip for word in labels for clip in recorded.get(word, ())]
    clips += [PlacedWord(clip) for word in labels for clip in cuts.get(word, ())]
    if not clips:
        raise ConfigError(f"{root}: no clip of {', '.join(labels[:3])}, ... is left for validation")
    n_words = len(clips) / (1 - words.unknown_share - words.silence_share)
    if UNKNOWN in labels and windows.spans:
        clips += [windows.draw(rng) for _ in range(round(n_words * words.unknown_share))]
    if SILENCE in labels:
        clips += protocol.silence_cuts(
            root, "validation", round(n_words * words.silence_share), rng
        )
    return clips


def by_label(clips: list[Clip]) -> dict[str, list[Clip]]:
    """Return clips by their words."""
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.label, []).append(clip)
    return found


def only(clips: ByWord, labels: tuple[str, ...]) -> dict[str, list[Clip]]:
    """Return the clips whose words are labels."""
    return {word: clips[word] for word in labels if word in clips}
