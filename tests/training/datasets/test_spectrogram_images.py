"""The colours of spectrogram pictures, and what shear, zoom and flip do to them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures need the extra [train]")
pytest.importorskip("scipy", reason="pictures need the extra [train]")


from training.batches.features import FeatureMaker
from training.config import recipe as recipes
from training.config.augmentation_sections import PictureConfig
from training.datasets import spectrogram_images as colours
from training.datasets.spectrogram_images import change_picture, make_picture

pytestmark = pytest.mark.timeout(240)


def test_the_colour_map_is_viridis():
    """
    Within 6 of 255 of matplotlib's 256 colours, and constant beyond both ends.
    """
    matplotlib = pytest.importorskip("matplotlib")
    published = np.array(matplotlib.colormaps["viridis"].colors)
    levels = np.linspace(0, 1, len(published), dtype=np.float32)

    np.testing.assert_allclose(255 * colours.colour(levels), 255 * published, atol=6)
    ends = colours.colour(np.array([-3, 0, 1, 9], dtype=np.float32))
    np.testing.assert_array_equal(ends[[0, 3]], ends[[1, 2]])


def test_ramps_are_the_same_map():
    """
    relu6 and two small matrices, as a network has them, give the colours to 1e-5.
    """
    levels = np.linspace(-0.5, 1.5, 4_001, dtype=np.float32)
    slopes, starts, rises, base = colours.colour_ramps()
    under_way = np.clip(levels[:, None] * slopes + starts, 0, 6)

    np.testing.assert_allclose(under_way @ rises + base, colours.colour(levels), atol=1e-5)


@pytest.fixture
def picture(demo_audio) -> np.ndarray:
    """A picture of speech."""
    frontend = recipes.load("cnn2d").frontend
    return make_picture(FeatureMaker(frontend).frames(demo_audio[:16_000]))


def test_a_flip_plays_backwards(picture, rng):
    """
    Left for right, exactly.
    """
    flipped = change_picture(picture, PictureConfig(flip_probability=1.0), rng)

    np.testing.assert_array_equal(picture[:, ::-1], flipped)


def test_a_zoom_is_about_the_middle(rng):
    """
    Halved, the picture fills the inner half; round it is the darkest colour.
    """
    bright = np.full((64, 64, 3), 255, dtype=np.uint8)
    config = PictureConfig(zoom_probability=1.0, zoom_range=(0.5, 0.5))
    zoomed = change_picture(bright, config, rng)
    expected = np.full((64, 64, 3), colours.KNOTS[0], dtype=np.uint8)
    expected[16:48, 16:48] = 255

    np.testing.assert_array_equal(expected, zoomed)


def test_a_shear_slants(rng):
    """
    A line upright in the middle leans by at most the slant, the same way all along, and the middle
    stays.
    """
    upright = np.zeros((64, 64, 3), dtype=np.uint8)
    upright[:, 31:33] = 255
    config = PictureConfig(shear_probability=1.0, shear=0.4)
    at = np.arange(64) + 0.5
    slants = []
    for _ in range(20):
        changed = change_picture(upright, config, rng)[..., 1].astype(float)
        changed[changed <= colours.KNOTS[0][1]] = 0
        places = (changed * at).sum(axis=1) / changed.sum(axis=1)
        slant, middle = np.polyfit(at - 32, places, 1)
        slants.append(slant)
        assert 32 == pytest.approx(middle, abs=0.2)
        np.testing.assert_allclose(places, middle + slant * (at - 32), atol=0.3)
    assert max(np.abs(slants)) <= 0.41
    assert min(slants) < -0.1 < 0.1 < max(slants)
