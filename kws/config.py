"""Settings stored with a model: features of the front end, and the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kws.dataclass_io import check_range
from kws.errors import ConfigError

# The labels of all speech that is none of a model's keywords, and of no speech.
UNKNOWN, SILENCE = "_unknown_", "_silence_"
# Settings that a kind of front end takes beside its kind, rate and normalisation.
FRONTEND_KINDS = {
    "log_mel": (
        "frame_length_ms",
        "frame_step_ms",
        "n_fft",
        "n_mels",
        "low_hz",
        "high_hz",
        "log_floor",
    ),
    "spectrogram": ("frame_length_ms", "frame_step_ms", "n_fft", "log_floor"),
    "waveform": (),
}
ALWAYS = ("kind", "sample_rate", "mean", "std")
# Far beyond any use. Larger values would overflow float32 or exhaust the memory.
MAX_NORMALISATION = 1e6
MAX_FRAME_MS = 1_000
MAX_N_FFT = 2**16
MAX_LOG_FLOOR = 1e6
# Odds of e**20 are as good as never.
MAX_CONTEXT_WEIGHT = 20


@dataclass(frozen=True)
class FrontendConfig:
    """How audio becomes the input of a model. Times in ms, frequencies in Hz."""

    kind: str = "log_mel"
    """``log_mel``: energy in mel bands. ``spectrogram``: power of each FFT bin. ``waveform``: the
    samples, -1..1, one sample a frame."""

    sample_rate: int = 16_000
    """Rate of the samples behind the features, in Hz."""

    frame_length_ms: float = 25
    """Length of a frame, need not be whole: 31.25 is 250 samples at 8 kHz. Longer resolves
    frequency better and time worse. Always one sample for a waveform."""

    frame_step_ms: float = 10
    """Time from one frame to the next. Shorter costs more and gives the model more to see."""

    n_fft: int = 512
    """FFT length in samples; a frame is zero-padded to it."""

    n_mels: int = 40
    """Number of mel bands."""

    low_hz: float = 20.0
    """Lower edge of the lowest band."""

    high_hz: float = 7_600.0
    """Upper edge of the highest band."""

    log_floor: float = 1e-5
    """Lower limit of energies. Raising it hides differences between quiet rooms."""

    mean: float = 0.0
    """Mean of the training features; the model's input is ``(feature - mean) / std``."""

    std: float = 1.0
    """Standard deviation of the training features."""

    def __post_init__(self) -> None:
        if self.kind not in FRONTEND_KINDS:
            raise ConfigError(f"kind must be one of {', '.join(FRONTEND_KINDS)}, got {self.kind!r}")
        check_range("sample_rate", self.sample_rate, 4_000, 192_000)
        check_range("mean", self.mean, -MAX_NORMALISATION, MAX_NORMALISATION)
        check_range("std", self.std, 1 / MAX_NORMALISATION, MAX_NORMALISATION)
        if self.kind == "waveform":
            for name in ("frame_length_ms", "frame_step_ms"):
                object.__setattr__(self, name, 1_000 / self.sample_rate)
            return
        check_range("frame_length_ms", self.frame_length_ms, 0, MAX_FRAME_MS, above=True)
        # A step is at least a sample.
        step_ms = 1_000 / self.sample_rate
        check_range("frame_step_ms", self.frame_step_ms, step_ms, self.frame_length_ms)
        check_range("n_fft", self.n_fft, self.frame_length_samples, MAX_N_FFT)
        check_range("log_floor", self.log_floor, 0, MAX_LOG_FLOOR, above=True)
        if self.kind == "log_mel":
            check_range("n_mels", self.n_mels, 1, self.n_fft // 2)
            check_range("high_hz", self.high_hz, 1, self.sample_rate / 2)
            check_range("low_hz", self.low_hz, 0, self.high_hz - 1)

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that this kind of front end uses."""
        return (*ALWAYS, *FRONTEND_KINDS[self.kind])

    @property
    def frame_length_samples(self) -> int:
        """Samples of a frame."""
        return _whole_samples(self.frame_length_ms, self.sample_rate)

    @property
    def frame_step_samples(self) -> int:
        """Samples from one frame to the next."""
        return _whole_samples(self.frame_step_ms, self.sample_rate)

    @property
    def n_bands(self) -> int:
        """Values of a frame: mel bands, FFT bins, or one sample."""
        if self.kind == "waveform":
            return 1
        return self.n_mels if self.kind == "log_mel" else self.n_fft // 2 + 1

    def shape(self, n_frames: int) -> tuple[int, ...]:
        """Return the shape of `n_frames` frames in a model's input."""
        return (n_frames,) if self.kind == "waveform" else (n_frames, self.n_bands)

    def duration_ms(self, n_frames: int) -> float:
        """Return the duration of `n_frames` steps; an int if it is whole."""
        duration = n_frames * self.frame_step_ms
        return int(duration) if duration == int(duration) else duration

    def n_frames(self, n_samples: int) -> int:
        """Return how many whole frames `n_samples` of audio give."""
        return max(0, (n_samples - self.frame_length_samples) // self.frame_step_samples + 1)

    def n_samples(self, n_frames: int) -> int:
        """Return how many samples `n_frames` frames need."""
        if n_frames <= 0:
            return 0
        return self.frame_length_samples + (n_frames - 1) * self.frame_step_samples


def _whole_samples(duration_ms: float, sample_rate: int) -> int:
    # Rounded down; the small number is for lengths in ms that have no exact binary value.
    return int(sample_rate * duration_ms / 1_000 + 1e-6)


@dataclass(frozen=True)
class DecisionConfig:
    """How posteriors become detections."""

    smoothing_ms: int = 300
    """Span over which posteriors are averaged. Longer: fewer false accepts, later detections."""

    suppression_ms: int = 500
    """A keyword stays silent for this long after its score was last at or above its threshold.
    Longer: fewer double firings, but a word repeated sooner is missed."""

    default_threshold: float = 0.8
    """Threshold of a keyword that `thresholds` does not name."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Threshold per keyword. Higher: fewer false accepts, more missed detections."""

    context_weights: Mapping[str, float] = field(default_factory=dict)
    """Natural log odds that a keyword's score loses after continuous other speech; 0 for keywords
    not named. Higher: fewer false accepts in running speech, more commands missed directly after
    speech (`kws.decision.speech_context.SpeechContext`)."""

    context_ms: int = 2_000
    """Time constant of the memory of speech before a word."""

    context_delay_ms: int = 500
    """The newest part of that memory, left out because it may be the word itself."""

    def __post_init__(self) -> None:
        check_range("smoothing_ms", self.smoothing_ms, 1, 5_000)
        check_range("suppression_ms", self.suppression_ms, 0, 60_000)
        check_range("context_ms", self.context_ms, 1, 60_000)
        check_range("context_delay_ms", self.context_delay_ms, 0, 5_000)
        for name, value in (("default", self.default_threshold), *self.thresholds.items()):
            check_range(f"threshold of {name}", value, 0, 1, above=True)
        for name, value in self.context_weights.items():
            check_range(f"context weight of {name}", value, 0, MAX_CONTEXT_WEIGHT)
        # Copies: the caller may change its own.
        object.__setattr__(self, "thresholds", dict(self.thresholds))
        object.__setattr__(self, "context_weights", dict(self.context_weights))

    def threshold(self, keyword: str) -> float:
        """Return the threshold of `keyword`."""
        return self.thresholds.get(keyword, self.default_threshold)
