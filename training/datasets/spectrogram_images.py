"""Spectrograms as pictures of 64 x 64 colours: made, written as PNG, read again.

Levels are normalised features: 0 is the darkest colour, 1 the brightest. So ``frontend.mean`` of a
recipe is the log energy that is drawn darkest, and ``mean + std`` the one that is drawn brightest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import atomic_path
from training.config.picture_section import SHAPE, SIZE
from training.datasets.colour_map import colour

Picture = NDArray[np.uint8]


def make_picture(levels: NDArray[np.float32]) -> Picture:
    """Return the picture of a window.

    Parameters
    ----------
    levels : ndarray of float32, shape (n_frames, n_bands)
        Normalised features.

    Returns
    -------
    picture : ndarray of uint8, shape (64, 64, 3)
        As one looks at it: time runs to the right, frequency upwards.
    """
    # Imported here, so that pictures can be read without the extra.
    from scipy import ndimage

    # Straight lines between the two nearest values, pixels seen as areas: what TensorFlow's and
    # TFLite's bilinear resize with half-pixel centres computes.
    resized = ndimage.zoom(
        levels,
        (SIZE / levels.shape[0], SIZE / levels.shape[1]),
        order=1,
        mode="nearest",
        grid_mode=True,
    )
    seen = resized.T[::-1]
    return np.round(colour(seen) * 255).astype(np.uint8)


def write_picture(picture: Picture, path: Path) -> None:
    """Write a PNG; a file appears only when it is whole.

    Pillow writes it, the library that matplotlib itself uses for that: a figure would lay axes,
    margins and another resize round the pixels.
    """
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def read_picture(path: Path) -> Picture:
    """Return a picture as uint8 ``(64, 64, 3)``.

    Raises
    ------
    ConfigError
        If the file is no picture, or one of another size.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{path}: expected a picture: {error}") from error
    if picture.shape != SHAPE:
        height, width = picture.shape[:2]
        raise ConfigError(f"{path}: expected {SIZE} x {SIZE} pixels, got {width} x {height}")
    return picture


def network_input(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures ``(n, 64, 64, 3)`` as the network takes them: 0..1, time before frequency.

    Frames come one after another, so that is the order in which a network draws them itself.
    """
    turned = pictures[:, ::-1].transpose(0, 2, 1, 3)
    return np.asarray(turned.astype(np.float32) / np.float32(255))
