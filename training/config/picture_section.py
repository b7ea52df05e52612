"""The section of a recipe about spectrogram pictures: what they are made of, what is changed."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import ConfigError

SIZE = 64
"""Height and width of a picture."""

SHAPE = (SIZE, SIZE, 3)


@dataclass(frozen=True)
class PictureConfig:
    """For recipes whose ``source.kind`` is ``pictures``. A probability of 0 switches a change off.

    Such recipes change the pictures alone: their ``[augmentation]``, which changes audio and
    frames, does nothing.
    """

    audio: str = "$KWS_DATA/speech_commands"
    """One folder a class: what `kws-train pictures` draws."""

    shear_probability: float = 0.0
    shear: float = 0.2
    """Largest slant either way: pixels to the side for each pixel up. High bands come earlier or
    later than low ones."""

    zoom_probability: float = 0.0
    zoom_range: tuple[float, float] = (0.8, 1.2)
    """Factors on time and on frequency, drawn apart: another pace, another voice."""

    flip_probability: float = 0.0
    """Left for right, which plays the word backwards."""

    def __post_init__(self) -> None:
        for name in ("shear", "zoom", "flip"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ConfigError(f"pictures.{name}_probability must lie in 0..1, got {value}")
        if not 0 <= self.shear <= 1:
            raise ConfigError(f"pictures.shear must lie in 0..1, got {self.shear}")
        low, high = self.zoom_range
        if not 0 < low <= high:
            raise ConfigError(
                f"pictures.zoom_range must be (low, high) above 0, got {self.zoom_range}"
            )
