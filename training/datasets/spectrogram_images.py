"""Spectrograms as pictures of 64 x 64 colours: made, changed, written as PNG, read again.

Levels are normalised features: 0 is the darkest colour, 1 the brightest. So ``frontend.mean`` of a
recipe is the log energy of the darkest colour, and ``mean + std`` that of the brightest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import atomic_path
from training.config.augmentation_sections import PICTURE_SHAPE, PICTURE_SIZE, PictureConfig
from training.datasets import folders

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]
SUFFIXES = frozenset({".png"})
# What `kws-train pictures` writes first.
SETTINGS = "pictures.json"

# Viridis (van der Walt and Smith, CC0) at 17 levels 0, 1/16, ... 1. Straight lines between
# them stay within 6 of 255 of its 256 colours, and are exact in numpy and in a network alike.
KNOTS = (
    (68, 1, 84),
    (72, 24, 106),
    (71, 45, 123),
    (66, 64, 134),
    (59, 82, 139),
    (51, 99, 141),
    (44, 114, 142),
    (38, 129, 142),
    (33, 144, 140),
    (31, 159, 136),
    (40, 174, 128),
    (62, 188, 116),
    (93, 201, 99),
    (130, 211, 76),
    (171, 220, 50),
    (213, 226, 26),
    (253, 231, 37),
)
# Upper end of a ramp of `colour_ramps`: the bound of ReLU6, which every TFLite runtime has.
RAMP_TOP = 6.0


@dataclass(frozen=True)
class PictureClip:
    """One labelled picture on disk."""

    path: Path
    label: str

    start = 0
    n_samples = None

    def read(self) -> Picture:
        """Return it as uint8 ``(64, 64, 3)``, upright; `ConfigError` if it is something else."""
        from PIL import Image

        try:
            with Image.open(self.path) as image:
                picture = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise ConfigError(f"{self.path}: expected a picture: {error}") from error
        if picture.shape != PICTURE_SHAPE:
            height, width = picture.shape[:2]
            raise ConfigError(
                f"{self.path}: expected {PICTURE_SIZE} x {PICTURE_SIZE} pixels, "
                f"got {width} x {height}"
            )
        return picture


def find_pictures(root: Path) -> list[PictureClip]:
    """Return the pictures of a one-folder-a-class tree; those of `kws-train pictures` complete."""
    if not root.is_dir():
        raise ConfigError(
            f"{root}: expected a folder of pictures, found none; "
            "write them with kws-train pictures RECIPE"
        )
    files = folders.audio_files(root, suffixes=SUFFIXES)
    # An interrupted writer leaves a file whose name begins with a dot.
    clips = [PictureClip(path, path.parent.name) for path in files if path.name[0] != "."]
    settings = root / SETTINGS
    if settings.is_file() and len(clips) < json.loads(settings.read_text())["n_pictures"]:
        raise ConfigError(
            f"{root}: not all pictures are written; run kws-train pictures again to continue"
        )
    return clips


def colour(levels: FloatArray) -> FloatArray:
    """Return the colours of levels: ``(...)`` to ``(..., 3)``, red, green, blue, 0..1.

    Levels below 0 are as dark as 0, those above 1 as bright as 1.
    """
    at = np.linspace(0, 1, len(KNOTS))
    channels = [np.interp(levels, at, channel) for channel in zip(*KNOTS)]
    return (np.stack(channels, axis=-1) / 255).astype(np.float32)


def colour_ramps() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the colour map as two layers: ``relu6(level * slopes + starts) @ rises + base``.

    Each segment between two knots is a ramp from 0 to 6, which adds its rise in each channel. At
    any level one ramp is between its ends and all others are at an end, which int8 holds exactly.
    Knots of plain ReLU would grow with the level and have to cancel each other.

    Returns
    -------
    slopes, starts : ndarray of float32, shape (n_segments,)
    rises : ndarray of float32, shape (n_segments, 3)
    base : ndarray of float32, shape (3,)
    """
    knots = np.array(KNOTS) / 255
    n_segments = len(knots) - 1
    slopes = np.full(n_segments, RAMP_TOP * n_segments)
    starts = -RAMP_TOP * np.arange(n_segments)
    parts = (slopes, starts, np.diff(knots, axis=0) / RAMP_TOP, knots[0])
    slopes, starts, rises, base = (part.astype(np.float32) for part in parts)
    return slopes, starts, rises, base


def make_picture(levels: NDArray[np.float32]) -> Picture:
    """Return the picture of a window.

    Parameters
    ----------
    levels : ndarray of float32, shape (n_frames, n_bands)
        Normalised features.

    Returns
    -------
    picture : ndarray of uint8, shape (64, 64, 3)
        Upright: time runs to the right, frequency upwards.
    """
    # Imported here, so that pictures can be read without the extra.
    from scipy import ndimage

    # Straight lines between the two nearest values, pixels seen as areas: what TensorFlow's and
    # TFLite's bilinear resize with half-pixel centres computes.
    resized = ndimage.zoom(
        levels,
        (PICTURE_SIZE / levels.shape[0], PICTURE_SIZE / levels.shape[1]),
        order=1,
        mode="nearest",
        grid_mode=True,
    )
    seen = resized.T[::-1]
    return np.round(colour(seen) * 255).astype(np.uint8)


def write_picture(picture: Picture, path: Path) -> None:
    """Write a PNG; the file appears only when it is whole.

    Pillow writes the pixels as they are; a matplotlib figure would add axes and a resize.
    """
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def network_input(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures ``(n, 64, 64, 3)`` as the network takes them: 0..1, time before frequency.

    A network that draws the pictures itself has its frames in that order.
    """
    turned = pictures[:, ::-1].transpose(0, 2, 1, 3)
    return np.asarray(turned.astype(np.float32) / np.float32(255))


def change_picture(picture: Picture, config: PictureConfig, rng: np.random.Generator) -> Picture:
    """Return a picture sheared, zoomed and flipped about its middle, each with its probability.

    Pixels from outside the picture are as dark as silence.
    """
    from PIL import Image

    zoom, shear, flip = (1.0, 1.0), 0.0, 1.0
    if rng.random() < config.shear_probability:
        shear = rng.uniform(-config.shear, config.shear)
    if rng.random() < config.zoom_probability:
        zoom = tuple(rng.uniform(*config.zoom_range, size=2))
    if rng.random() < config.flip_probability:
        flip = -1.0
    if (zoom, shear, flip) == ((1.0, 1.0), 0.0, 1.0):
        return picture
    # A point p, relative to the middle, shows the point ``matrix @ p`` of the given picture.
    matrix = np.array([[flip / zoom[0], shear], [0, 1 / zoom[1]]])
    middle = np.array([picture.shape[1] / 2, picture.shape[0] / 2])
    offset = middle - matrix @ middle
    changed = Image.fromarray(picture).transform(
        (picture.shape[1], picture.shape[0]),
        Image.Transform.AFFINE,
        np.column_stack([matrix, offset]).ravel().tolist(),
        resample=Image.Resampling.BILINEAR,
        fillcolor=KNOTS[0],
    )
    return np.asarray(changed)
