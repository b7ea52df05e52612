"""A recipe for pictures and the same one for the audio that they were made of."""

from __future__ import annotations

from dataclasses import replace

from kws.errors import ConfigError
from training.batches.augmentation import AugmentationConfig
from training.config.recipe import Recipe

# Clips as they are.
UNCHANGED = AugmentationConfig(
    time_shift_ms=0,
    speed_probability=0.0,
    gain_probability=0.0,
    reverb_probability=0.0,
    noise_probability=0.0,
    n_time_masks=0,
    n_mel_masks=0,
)


def on_audio(recipe: Recipe) -> Recipe:
    """Return the recipe whose clips are those that the pictures show, split alike, unchanged.

    Its network draws the pictures itself and has the same weights. A recipe that is not about
    pictures stays as it is.

    Raises
    ------
    ConfigError
        If ``pictures.audio`` is empty.
    """
    if recipe.source.kind != "pictures":
        return recipe
    if not recipe.pictures.audio:
        raise ConfigError(
            "pictures.audio: expected the folder that the pictures were made of, got an empty path"
        )
    return replace(
        recipe,
        data=replace(recipe.data, clips=recipe.pictures.audio, rooms=""),
        source=replace(recipe.source, kind="folders"),
        augmentation=UNCHANGED,
    )
