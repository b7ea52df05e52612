"""How a network is trained: loss, optimizer with its schedule, metric, memory."""

from __future__ import annotations

import ctypes
import logging

import keras

from training.config.recipe import Recipe
from training.distillation.feature_distillation import FeatureLoss, LabelAccuracy

logger = logging.getLogger(__name__)
# With a larger share the batch statistics do not fit the average: it predicts one label only.
MAX_INITIAL_SHARE = 0.05
# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 256 << 20


def compile_model(model: keras.Model, recipe: Recipe) -> None:
    """Give a network the recipe's loss, optimizer and metric."""
    smoothing, n_labels = recipe.fit.label_smoothing, len(recipe.data.labels)
    loss: keras.losses.Loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    if recipe.cache.feature_teacher:
        loss = FeatureLoss(n_labels, recipe.cache.feature_weight, smoothing)
    model.compile(
        optimizer=_optimizer(recipe), loss=loss, metrics=[LabelAccuracy(n_labels=n_labels)]
    )
    # Building it within the first step would trace that step twice.
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
        # A callback swaps the averages in for validation; the optimizer never does.
        ema_overwrite_frequency=None,
    )
    # Biases and the scale and shift of batch normalisation are not decayed.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def warn_of_long_average(recipe: Recipe) -> None:
    """Warn if the average of the weights will still hold much of the random initial ones."""
    config = recipe.fit
    n_steps = config.epochs * config.steps_per_epoch
    share = config.ema_momentum**n_steps
    if share > MAX_INITIAL_SHARE and not config.start_from:
        logger.warning(
            "fit.ema_momentum = %g over %d steps: the averaged weights, which are validated and "
            "kept, are still %.0f %% the random initial ones; --set fit.ema_momentum=%.3g",
            config.ema_momentum,
            n_steps,
            100 * share,
            max(0.0, 1 - 20 / n_steps),
        )


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory; return whether it supports that.

    A step frees and requests hundreds of megabytes of activations. By default they go back to the
    kernel, which clears every page again: on two cores that took half of the training time of
    2-D networks (200 against 54 clips a second).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD))
    return all(mallopt(option, value) == 1 for option, value in options)
