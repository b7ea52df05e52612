"""The training part of everything that the clips of a keyword model are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.config.data_sections import DataConfig
from training.datasets import aligned_speech, folders, noise, phrases
from training.datasets.aligned_speech import SpeechWindows
from training.datasets.clips import Clip
from training.datasets.noise import NoiseRecordings
from training.datasets.rooms import open_rooms

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingSources:
    """All audio that training draws from: clips are read when drawn, noise is in memory."""

    by_word: dict[str, list[Clip]]
    cut_words: dict[str, list[Clip]]
    windows: SpeechWindows
    noise: NoiseRecordings
    rooms: list[FloatArray]
    hard_windows: list[Clip] = field(default_factory=list)
    cut_keywords: dict[str, list[Clip]] = field(default_factory=dict)
    synthetic: dict[str, list[Clip]] = field(default_factory=dict)

    @classmethod
    def open(cls, config: DataConfig) -> TrainingSources:
        """Return the training part of every source that the recipe names.

        Raises
        ------
        ConfigError
            If a folder is missing, or a keyword has no clips.
        """
        clips_root = config.root()
        by_word = folders.by_label(folders.scan(*config.roots())["training"])
        missing = [word for word in config.keywords if word not in by_word]
        if missing:
            raise ConfigError(f"{clips_root}: no training clips of {', '.join(missing)}")
        exclude = aligned_speech.sounds_like(config.keywords)
        synthetic = config.path("synthetic")
        speech_root = config.path("speech")
        utterances = (
            aligned_speech.read_utterances(speech_root, config.speech_split) if speech_root else []
        )
        hard = config.path("hard_negatives")
        return cls(
            by_word=by_word,
            cut_words=aligned_speech.cut_words(utterances, exclude=exclude),
            cut_keywords=aligned_speech.cut_words(utterances, only=frozenset(config.keywords)),
            synthetic=folders.by_word(synthetic) if synthetic else {},
            windows=SpeechWindows.from_utterances(
                utterances, exclude=blocked_words(config)
            ).with_whole(phrases.without_words(config.path("phrases"), "training", exclude)),
            hard_windows=(
                aligned_speech.read_hard_windows(hard, speech_root) if hard and speech_root else []
            ),
            noise=training_noise(config),
            rooms=open_rooms(config),
        )

    def counts(self, config: DataConfig) -> dict[str, Any]:
        """Return the sources by their names in the recipe, each with how much there is of it."""
        counts: dict[str, Any] = {
            " + ".join((config.clips, *config.more_clips)): {
                "training_clips": sum(len(clips) for clips in self.by_word.values()),
                "words": len(self.by_word),
            }
        }
        if config.speech:
            counts[f"{config.speech} {config.speech_split}"] = {
                "cut_words": sum(len(clips) for clips in self.cut_words.values()),
                "keyword_free_spans": len(self.windows.spans),
            }
        if config.environment:
            counts[config.environment] = {"noise_recordings": len(self.noise.recordings)}
        if self.rooms:
            names = filter(None, (config.rooms, config.simulated_rooms))
            counts[" + ".join(names)] = {"room_responses": len(self.rooms)}
        if config.hard_negatives:
            counts[config.hard_negatives] = {"hard_windows": len(self.hard_windows)}
        return counts


def blocked_words(config: DataConfig) -> frozenset[str]:
    """Return the words that a random second of running speech must not hold."""
    if config.keywords_inside_speech:
        return frozenset()
    return aligned_speech.sounds_like(config.keywords)


def training_noise(config: DataConfig) -> NoiseRecordings:
    """Return the training part of background recordings and environmental sounds."""
    recordings = noise.split_noise(config.root(), "training").recordings
    environment = config.path("environment")
    if environment:
        recordings += noise.esc_noise(
            environment, "training", without=config.held_out_noise
        ).recordings
    return NoiseRecordings(recordings)
