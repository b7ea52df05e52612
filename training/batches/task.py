"""A recipe's data, opened once: labels, training batches, and clips for validation and testing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.batches.batch_maker import DrawnBatches, Sampler
from training.batches.cached_batches import CachedBatches, open_cache
from training.batches.epoch_sampler import EpochSampler, PictureSampler
from training.batches.features import FeatureMaker, measure_features
from training.batches.keyword_sampler import KeywordSampler
from training.batches.training_sources import TrainingSources, blocked_words
from training.batches.word_sampler import WordSampler
from training.config.augmentation_sections import UNCHANGED
from training.config.recipe import Recipe
from training.datasets import aligned_speech, folders, twelve_class
from training.datasets.aligned_speech import Utterance
from training.datasets.clips import fit_length
from training.datasets.labelled_clips import Item
from training.datasets.spectrogram_images import network_input
from training.datasets.splits import ClassData, open_classes
from training.datasets.vocabulary import Vocabulary, open_vocabulary

logger = logging.getLogger(__name__)
FloatArray = NDArray[np.float32]
CLIPS_AT_ONCE = 256


class Task:
    """What a network is to learn, from one kind of data source.

    Attributes
    ----------
    recipe : Recipe
        The recipe with what its data decide filled in: the labels, and how many clips an epoch
        has.
    scored_splits : tuple of str
        Splits that are scored in full when training ends.
    """

    scored_splits: tuple[str, ...] = ("validation", "testing")

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in output order."""
        return self.recipe.data.labels

    @property
    def drawn_recipe(self) -> Recipe:
        """The recipe by which batches are drawn."""
        return self.recipe

    def clips(self, split: str) -> list[Any]:
        """Return the clips of a split as they are, without augmentation."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Return what draws augmented training clips."""
        raise NotImplementedError

    def label_sampler(self) -> KeywordSampler:
        """Return what draws single clips; `ConfigError` where an epoch takes each clip once."""
        raise ConfigError(
            f"recipe {self.recipe.name}: a cache holds clips drawn by word, not those of a "
            "classification task"
        )

    def class_data(self) -> ClassData:
        """Return labelled audio clips with groups and folds; `ConfigError` without classes."""
        raise ConfigError(
            f"{self.recipe.name}: expected a recipe whose source.kind is folders, csv or npz, got "
            f"{self.recipe.source.kind!r}"
        )

    def keyword_free_speech(self) -> list[tuple[Utterance, list[tuple[int, int]]]]:
        """Return utterances with their (start, end) spans without keywords, if there are any."""
        raise ConfigError(
            f"{self.recipe.name}: expected a recipe with keywords and running speech, got a "
            "classification task; hard negatives belong to keywords"
        )

    def check(self) -> None:
        """Raise what `training_batches` would, without reading more audio than needed."""
        if self.recipe.cache.path:
            CachedBatches(self.recipe, open_cache(self.recipe))

    def training_batches(self) -> DrawnBatches | CachedBatches:
        """Return what makes the training batches.

        Raises
        ------
        ConfigError
            If data are missing or do not fit the recipe.
        """
        if self.recipe.cache.path:
            return CachedBatches(self.recipe, open_cache(self.recipe))
        return DrawnBatches(self.drawn_recipe, self.sampler(), self.inputs)

    @cached_property
    def _maker(self) -> FeatureMaker:
        return FeatureMaker(self.recipe.frontend)

    def inputs(self, samples: NDArray[Any]) -> FloatArray:
        """Return the network's input for stacked clips of one window."""
        return self._maker.windows(samples, n_frames=self.recipe.model.window_frames)

    def features(self, clips: Sequence[Any]) -> FloatArray:
        """Return the network's input for whole clips: normalised features, or pictures."""
        parts = []
        for start in range(0, len(clips), CLIPS_AT_ONCE):
            part = [self._samples(clip) for clip in clips[start : start + CLIPS_AT_ONCE]]
            parts.append(self.inputs(np.stack(part)))
        return np.concatenate(parts)

    def _samples(self, clip: Any) -> NDArray[Any]:
        return fit_length(clip.read(), self.recipe.clip_samples)

    def targets(self, clips: Sequence[Any]) -> FloatArray:
        """Return one-hot targets ``(n_clips, n_labels)``."""
        return np.eye(len(self.labels), dtype=np.float32)[self.truth(clips)]

    def truth(self, clips: Sequence[Any]) -> NDArray[np.intp]:
        """Return the index of each clip's label."""
        return np.array([self.labels.index(clip.label) for clip in clips], np.intp)

    def calibration_features(self) -> FloatArray:
        """Return features of augmented training clips for quantization, the same each time."""
        config = self.recipe.export
        batches = self.training_batches()
        n_batches = -(-config.calibration_clips // self.recipe.fit.batch_size)
        # Epochs count from 0, so no training batch had this epoch's draws.
        epoch = self.recipe.fit.epochs
        made = [batches.make(epoch, step)[0] for step in range(n_batches)]
        return np.concatenate(made)[: config.calibration_clips]

    def describe(self) -> str:
        """Return the data set and how it is split, for a manifest."""
        return f"{Path(self.recipe.data.clips).name}, {len(self.labels)} classes"

    def data_counts(self) -> dict[str, Any]:
        """Return the sources of training data, each with how much there is of it."""
        return {self.recipe.data.clips: {"training_clips": len(self.clips("training"))}}


class KeywordTask(Task):
    """Keywords, unknown and silence, drawn by label; measured on balanced splits."""

    scored_splits = ()

    @cached_property
    def sources(self) -> TrainingSources:
        """All audio that training draws from."""
        return TrainingSources.open(self.recipe.data)

    def clips(self, split: str) -> list[Any]:
        """Return a split by the 12-class protocol."""
        root, *more = self.recipe.data.roots()
        return twelve_class.balanced_split(root, self.labels, split, more=more)

    def label_sampler(self) -> KeywordSampler:
        """Return what draws augmented training clips."""
        return KeywordSampler(self.recipe, self.sources)

    sampler = label_sampler

    def check(self) -> None:
        """Raise what `training_batches` would."""
        super().check()
        if not self.recipe.cache.path:
            # Not kept: this process may have no other use for them.
            TrainingSources.open(self.recipe.data)

    def keyword_free_speech(self) -> list[tuple[Utterance, list[tuple[int, int]]]]:
        """Return utterances of running speech with their (start, end) spans without keywords."""
        data = self.recipe.data
        root = data.path("speech")
        if root is None:
            raise ConfigError("data.speech: hard negatives need running speech with word times")
        blocked = blocked_words(data)
        return [
            (utterance, aligned_speech.free_spans(utterance, exclude=blocked))
            for utterance in aligned_speech.read_utterances(root, data.speech_split)
        ]

    def describe(self) -> str:
        """Return the data set and how it is split, for a manifest."""
        return f"{super().describe()} balanced"

    def data_counts(self) -> dict[str, Any]:
        """Return the sources of training data, each with how much there is of it."""
        return self.sources.counts(self.recipe.data)


class ClassTask(Task):
    """A classification task whose labels are those of the data; an epoch takes each clip once."""

    def __init__(self, recipe: Recipe) -> None:
        if recipe.data.more_clips:
            raise ConfigError(
                "data.more_clips: a classification task has one folder; leave it empty"
            )
        self.data = open_classes(recipe.source, recipe.data.root(), recipe.data.classes)
        n_steps = -(-len(self.data.clips("training")) // recipe.fit.batch_size)
        super().__init__(
            replace(
                recipe,
                data=replace(recipe.data, classes=self.data.labels),
                fit=replace(recipe.fit, clips_per_epoch=n_steps * recipe.fit.batch_size),
            )
        )

    def clips(self, split: str) -> list[Any]:
        """Return the clips of a split."""
        return self.data.clips(split)

    def class_data(self) -> ClassData:
        """Return labelled audio clips with groups and folds."""
        return self.data

    def sampler(self) -> Sampler:
        """Return what draws augmented training clips."""
        return EpochSampler(self.recipe, self.data)


class PictureTask(ClassTask):
    """Spectrogram pictures in one folder per class."""

    class_data = Task.class_data

    @property
    def drawn_recipe(self) -> Recipe:
        """The recipe without augmentation of audio and frames."""
        return replace(self.recipe, augmentation=UNCHANGED)

    def sampler(self) -> Sampler:
        """Return what draws changed training pictures."""
        return PictureSampler(self.drawn_recipe, self.data)

    def inputs(self, samples: NDArray[Any]) -> FloatArray:
        """Return the network's input for stacked pictures."""
        return network_input(samples)

    def _samples(self, clip: Any) -> NDArray[Any]:
        picture: NDArray[Any] = clip.read()
        return picture


class VocabularyTask(Task):
    """Many words, drawn by word, of recordings and of running speech."""

    def __init__(self, recipe: Recipe) -> None:
        self.vocabulary: Vocabulary = open_vocabulary(recipe.data, recipe.source, recipe.words)
        labels = self.vocabulary.labels
        super().__init__(replace(recipe, data=replace(recipe.data, classes=labels)))

    def clips(self, split: str) -> list[Any]:
        """Return the clips of a split; none for testing."""
        found = {"training": self.vocabulary.training, "validation": self.vocabulary.validation}
        return found.get(split, [])

    def label_sampler(self) -> KeywordSampler:
        """Return what draws augmented training clips."""
        return WordSampler(self.recipe, self.vocabulary)

    sampler = label_sampler

    def class_data(self) -> ClassData:
        """Return the clips by split, with their speakers as groups."""
        items = {
            split: [Item(clip, folders.speaker_of(clip.path)) for clip in self.clips(split)]
            for split in folders.SPLITS
        }
        return ClassData(self.labels, items)


KINDS: dict[str, type[Task]] = {
    "": KeywordTask,
    "folders": ClassTask,
    "csv": ClassTask,
    "npz": ClassTask,
    "pictures": PictureTask,
    "words": VocabularyTask,
}


def open_task(recipe: Recipe, *, measure: bool = False) -> Task:
    """Return the task of a recipe; audio is read only when it is asked for.

    With `measure`, mean and standard deviation of the training features are measured and put into
    the task's recipe, where ``source.normalisation_clips`` asks for it.

    Raises
    ------
    ConfigError
        If data are missing, or cannot be split.
    """
    task = KINDS[recipe.source.kind](recipe)
    # The colours of pictures depend on the recipe's mean and std.
    measurable = isinstance(task, (ClassTask, VocabularyTask)) and not isinstance(task, PictureTask)
    if measure and measurable and recipe.source.normalisation_clips:
        mean, std = measure_features(task.recipe, task.clips("training"))
        frontend = replace(task.recipe.frontend, mean=mean, std=std)
        task.recipe = replace(task.recipe, frontend=frontend)
        logger.info("training features: mean %g, standard deviation %g", mean, std)
    return task
