"""The maker of a recipe's training batches: words drawn by class, or plain classes clip by clip."""

from __future__ import annotations

from training.batches.cached_batches import BankBatchMaker, open_bank
from training.batches.class_sampler import PassDrawer, class_data
from training.batches.keyword_sampler import BatchMaker, TrainingSources
from training.batches.picture_sampler import PictureBatchMaker
from training.batches.word_sampler import DRAWN, open_drawer
from training.config.recipe import Recipe


def open_batches(recipe: Recipe) -> BatchMaker | BankBatchMaker | PictureBatchMaker:
    """Return what makes the recipe's batches.

    Raises
    ------
    ConfigError
        If a source is missing or does not hold what the recipe wants.
    """
    if recipe.bank.path:
        return BankBatchMaker(recipe, open_bank(recipe))
    if recipe.source.kind == "pictures":
        return PictureBatchMaker(recipe, class_data(recipe))
    if recipe.source.kind in DRAWN:
        return BatchMaker(recipe, open_drawer(recipe))
    return BatchMaker(recipe, PassDrawer(recipe, class_data(recipe)))


def check_sources(recipe: Recipe) -> None:
    """Raise what `open_batches` would, without reading audio that it does not have to."""
    if recipe.bank.path:
        BankBatchMaker(recipe, open_bank(recipe))
    elif recipe.source.kind:
        class_data(recipe)
    else:
        TrainingSources.open(recipe.data)
