"""Batches from a bank of clips, blended with what its teachers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.batches import augmentation
from training.batches.clip_cache import SAMPLES, ClipBank, ShardRows
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe
from training.config.sections import filled_in
from training.distillation.soft_labels import blended, without_false_keywords

if TYPE_CHECKING:
    from training.distillation.feature_distillation import Imitated

FloatArray = NDArray[np.float32]
# What a bank was drawn from and what it was kept from: a run's manifest states the recipe's.
ORIGIN = ("clips", "speech", "speech_split", "environment", "held_out_noise")


class BankBatchMaker:
    """Make batch number ``(epoch, step)`` of a bank: each clip once, in an order of its own a pass.

    The bank's clips are augmented already. What costs next to nothing is drawn anew each time:
    gain, masks, mixup.
    """

    def __init__(self, recipe: Recipe, bank: ClipBank) -> None:
        _check_words(recipe, bank)
        if bank.recipe.data.labels != recipe.data.labels:
            raise ConfigError(
                f"{bank.path}: expected the recipe's labels, {', '.join(recipe.data.labels)}, "
                f"got {', '.join(bank.recipe.data.labels)}"
            )
        if bank.recipe.clip_samples != recipe.clip_samples:
            raise ConfigError(
                f"{bank.path}: expected clips of {recipe.clip_samples} samples, "
                f"got {bank.recipe.clip_samples}"
            )
        _check_origin(recipe, bank)
        self._recipe = recipe
        self._samples = ShardRows(bank, SAMPLES)
        self._labels = bank.read_labels()
        self._taught = self._teachers_words(bank)
        name = recipe.bank.imitate
        self._imitated = _imitated(bank, name) if name else None
        self._features = FeatureMaker(recipe.frontend)
        self._pass = (-1, np.empty(0, np.intp))

    def _teachers_words(self, bank: ClipBank) -> list[ShardRows]:
        """Return what each teacher says, clip by clip; none without a weight."""
        if not self._recipe.bank.teacher_weight:
            return []
        names = self._recipe.bank.teachers or bank.teachers
        if not names:
            raise ConfigError(
                f"{bank.path}: bank.teacher_weight is above 0, but no run has taught this bank; "
                "kws-train teach BANK RUN"
            )
        return [ShardRows(bank, f"teacher-{name}") for name in names]

    def make(self, epoch: int, step: int) -> tuple[FloatArray, FloatArray]:
        """Return normalised features, a network's input, and targets ``(batch, labels)``."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, epoch, step))
        chosen = self._chosen(epoch, step)
        samples = np.stack([self._clip(int(index), self._gain(rng)) for index in chosen])
        features = self._features.windows(samples, n_frames=recipe.model.window_frames)
        targets = self._targets(chosen)
        if features.ndim == 3:
            augmentation.mask_features(features, recipe.augmentation, rng)
        if self._imitated:
            targets = np.concatenate([targets, self._imitated.of(chosen)], axis=1)
        if recipe.augmentation.mixup_probability:
            features, targets = augmentation.mix_up(features, targets, recipe.augmentation, rng)
        return features, targets

    def _targets(self, chosen: NDArray[np.intp]) -> FloatArray:
        """Return labels, blended with the mean of what the teachers say."""
        targets = np.eye(len(self._recipe.data.labels), dtype=np.float32)[self._labels[chosen]]
        if not self._taught:
            return targets
        words = [np.stack([rows.row(int(index)) for index in chosen]) for rows in self._taught]
        said = np.mean(np.stack(words).astype(np.float32), axis=0)
        data = self._recipe.data
        if not data.classes:
            said = without_false_keywords(said, self._labels[chosen], len(data.keywords))
        return blended(targets, said, self._recipe.bank.teacher_weight)

    def _gain(self, rng: np.random.Generator) -> float | None:
        """Draw a factor on a clip, or None to leave it as it is."""
        config = self._recipe.augmentation
        if rng.random() >= config.gain_probability:
            return None
        # The bank has gain in it; half of the range once more makes no two passes alike.
        return float(10.0 ** (rng.uniform(*config.gain_db_range) / 40.0))

    def _clip(self, index: int, gain: float | None) -> NDArray[np.int16]:
        samples = self._samples.row(index)
        if gain is None:
            return samples
        return augmentation.to_int16(samples.astype(np.float32) * np.float32(gain))

    def _chosen(self, epoch: int, step: int) -> NDArray[np.intp]:
        """Return the clips of a batch; one that spans the end of a pass goes on in the next."""
        size = self._recipe.fit.batch_size
        first = (epoch * self._recipe.fit.steps_per_epoch + step) * size
        n_clips = len(self._labels)
        places = np.arange(first, first + size)
        return np.array([self._order(place // n_clips)[place % n_clips] for place in places])

    def _order(self, number: int) -> NDArray[np.intp]:
        if self._pass[0] != number:
            rng = np.random.default_rng((self._recipe.seed, 77, number))
            self._pass = (number, rng.permutation(len(self._labels)))
        return self._pass[1]


def _check_origin(recipe: Recipe, bank: ClipBank) -> None:
    """Raise `ConfigError` unless the bank was drawn from the recordings that the recipe names."""
    for name in ORIGIN:
        drawn, wanted = getattr(bank.recipe.data, name), getattr(recipe.data, name)
        if drawn != wanted:
            raise ConfigError(
                f"{bank.path}: drawn with data.{name} = {drawn!r}, but the recipe says {wanted!r}; "
                f"draw another bank, or --set data.{name}"
            )


def _check_words(recipe: Recipe, bank: ClipBank) -> None:
    """Raise `ConfigError` unless the bank's words were drawn as the recipe says."""
    if recipe.source.kind and (bank.recipe.source, bank.recipe.words) != (
        recipe.source,
        recipe.words,
    ):
        raise ConfigError(
            f"{bank.path}: drawn with other settings in [source] or [words] than the recipe's; "
            "draw another bank"
        )


def _imitated(bank: ClipBank, name: str) -> Imitated:
    # Here, because it needs TensorFlow, which other batches do without.
    from training.distillation.feature_distillation import Imitated

    return Imitated(bank, name)


def open_bank(recipe: Recipe) -> ClipBank:
    """Return the bank that the recipe trains on."""
    path = filled_in(recipe.bank.path, where="bank.path")
    assert path is not None
    return ClipBank.open(path)
