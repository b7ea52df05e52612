"""Shear, zoom and flip of pictures, as write-ups do it to photographs."""

from __future__ import annotations

import numpy as np

from training.config.picture_section import PictureConfig
from training.datasets.colour_map import DARKEST
from training.datasets.spectrogram_images import Picture


def change_picture(picture: Picture, config: PictureConfig, rng: np.random.Generator) -> Picture:
    """Return a picture sheared, zoomed and flipped about its middle, each if it is drawn.

    What comes in from outside is as dark as silence.
    """
    zoom, shear, flip = (1.0, 1.0), 0.0, 1.0
    if rng.random() < config.shear_probability:
        shear = rng.uniform(-config.shear, config.shear)
    if rng.random() < config.zoom_probability:
        zoom = tuple(rng.uniform(*config.zoom_range, size=2))
    if rng.random() < config.flip_probability:
        flip = -1.0
    if (zoom, shear, flip) == ((1.0, 1.0), 0.0, 1.0):
        return picture
    return _transformed(picture, np.array([[flip / zoom[0], shear], [0, 1 / zoom[1]]]))


def _transformed(picture: Picture, matrix: np.ndarray) -> Picture:
    """Return the picture whose point p, seen from the middle, shows what lay at ``matrix @ p``."""
    from PIL import Image

    middle = np.array([picture.shape[1] / 2, picture.shape[0] / 2])
    offset = middle - matrix @ middle
    changed = Image.fromarray(picture).transform(
        (picture.shape[1], picture.shape[0]),
        Image.Transform.AFFINE,
        np.column_stack([matrix, offset]).ravel().tolist(),
        resample=Image.Resampling.BILINEAR,
        fillcolor=DARKEST,
    )
    return np.asarray(changed)
