"""The sections of a recipe that change clips: [augmentation] and [pictures]."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kws.errors import ConfigError
from training.config.data_sections import check_range

PICTURE_SIZE = 64
"""Height and width of a spectrogram picture."""

PICTURE_SHAPE = (PICTURE_SIZE, PICTURE_SIZE, 3)


@dataclass(frozen=True)
class AugmentationConfig:
    """What is done to each training clip, and how often. A probability of 0 switches it off."""

    time_shift_ms: int = 150
    """Largest shift either way; the gap is filled with zeros."""

    shift_wraps: bool = False
    """Fill the gap with what was shifted out at the other end: for sounds without a beginning."""

    speed_probability: float = 0.5
    speed_range: tuple[float, float] = (0.85, 1.15)
    """Factor on speed, which changes pitch with it."""

    gain_probability: float = 0.7
    gain_db_range: tuple[float, float] = (-18.0, 6.0)

    reverb_probability: float = 0.2
    """How often a clip is convolved with a room response."""

    noise_probability: float = 0.7
    snr_db_range: tuple[float, float] = (2.0, 30.0)
    """Drawn uniformly; the level of a clip is that of its loudest 300 ms."""

    n_time_masks: int = 2
    time_mask_frames: int = 12
    n_mel_masks: int = 2
    mel_mask_bands: int = 5
    """SpecAugment (Park et al. 2019): masks hold the mean of the features."""

    light_share: float = 0.0
    """Share of the clips that stay close to the recording, see `light`: words in a quiet room
    are the most frequent case, and must not be drowned by the hard ones."""

    mixup_probability: float = 0.0
    mixup_alpha: float = 0.2
    """Mixup (Zhang et al. 2018) of feature pairs within a batch."""

    def __post_init__(self) -> None:
        check_range("augmentation", self, "time_shift_ms", 0, 1_000)
        for name in ("speed", "gain", "reverb", "noise", "mixup"):
            check_range("augmentation", self, f"{name}_probability", 0, 1)
        for name in ("speed_range", "gain_db_range", "snr_db_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"augmentation.{name} must be (low, high), got {(low, high)}")
        if self.speed_range[0] <= 0:
            raise ConfigError(f"augmentation.speed_range must be above 0, got {self.speed_range}")
        check_range("augmentation", self, "light_share", 0, 1)

    @property
    def light(self) -> AugmentationConfig:
        """The same with noise from 10 dB on, fewer rooms, and levels nearer to the recording's."""
        return replace(
            self,
            time_shift_ms=self.time_shift_ms * 2 // 3,
            gain_probability=min(self.gain_probability, 0.5),
            gain_db_range=(max(self.gain_db_range[0], -24.0), self.gain_db_range[1]),
            reverb_probability=self.reverb_probability / 3,
            noise_probability=self.noise_probability * 0.6,
            snr_db_range=(10.0, max(self.snr_db_range[1], 35.0)),
            light_share=0.0,
        )


UNCHANGED = AugmentationConfig(
    time_shift_ms=0,
    speed_probability=0.0,
    gain_probability=0.0,
    reverb_probability=0.0,
    noise_probability=0.0,
    n_time_masks=0,
    n_mel_masks=0,
)
"""No augmentation at all."""


@dataclass(frozen=True)
class PictureConfig:
    """For ``source.kind = "pictures"``. A probability of 0 switches a change off.

    These changes replace ``[augmentation]``, which changes audio and frames.
    """

    audio: str = "$KWS_DATA/speech_commands"
    """One folder per class: the clips that `kws-train pictures` draws."""

    shear_probability: float = 0.0
    shear: float = 0.2
    """Largest slant either way, in pixels sideways per pixel upwards: high bands come earlier or
    later than low ones."""

    zoom_probability: float = 0.0
    zoom_range: tuple[float, float] = (0.8, 1.2)
    """Factors on time and on frequency, drawn independently: another pace, another voice."""

    flip_probability: float = 0.0
    """Left for right, which plays the word backwards."""

    def __post_init__(self) -> None:
        names = "shear_probability zoom_probability flip_probability shear"
        check_range("pictures", self, names, 0, 1)
        low, high = self.zoom_range
        if not 0 < low <= high:
            raise ConfigError(
                f"pictures.zoom_range must be (low, high) above 0, got {self.zoom_range}"
            )
