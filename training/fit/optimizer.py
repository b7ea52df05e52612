"""How a network is trained: loss, optimizer with its schedule, metric."""

from __future__ import annotations

import logging

import keras

from training.config.recipe import Recipe
from training.distillation.feature_distillation import ImitationLoss, LabelAccuracy

logger = logging.getLogger(__name__)
# With more of them the statistics of batch normalisation do not fit the average: one label always.
MOST_OF_FIRST_WEIGHTS = 0.05


def compile_model(model: keras.Model, recipe: Recipe) -> None:
    """Give a network the recipe's loss, optimizer and metric."""
    smoothing, n_labels = recipe.fit.label_smoothing, len(recipe.data.labels)
    loss: keras.losses.Loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    if recipe.cache.feature_teacher:
        loss = ImitationLoss(n_labels, recipe.cache.feature_weight, smoothing)
    model.compile(
        optimizer=_optimizer(recipe), loss=loss, metrics=[LabelAccuracy(n_labels=n_labels)]
    )
    # Now: within the first step it would be traced twice.
    model.optimizer.build(model.trainable_variables)


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    config = recipe.fit
    steps = config.epochs * config.steps_per_epoch
    warmup = min(int(config.warmup_epochs * config.steps_per_epoch), steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / 25,
        decay_steps=steps - warmup,
        alpha=0.002,
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        use_ema=config.ema_momentum > 0,
        ema_momentum=config.ema_momentum or 0.99,
        # The averages are swapped in for validation by a callback; never overwrite by itself.
        ema_overwrite_frequency=None,
    )
    # Biases and the scale and shift of batch normalisation are not decayed.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def warn_of_long_average(recipe: Recipe) -> None:
    """Say so where the average of the weights would still hold much of the random first ones."""
    config = recipe.fit
    n_steps = config.epochs * config.steps_per_epoch
    left = config.ema_momentum**n_steps
    if left > MOST_OF_FIRST_WEIGHTS and not config.start_from:
        logger.warning(
            "fit.ema_momentum = %g over %d steps: the averaged weights, which are validated and "
            "kept, are still %.0f %% the random first ones; --set fit.ema_momentum=%.3g",
            config.ema_momentum,
            n_steps,
            100 * left,
            max(0.0, 1 - 20 / n_steps),
        )
