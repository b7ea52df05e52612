"""Mix keyword clips over a background at a stated level, with the truth of where each word is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import atomic_path
from training.datasets.aligned_speech import Utterance
from training.datasets.clips import SAMPLE_RATE, Clip, to_int16
from training.datasets.noise import loud_level
from training.evaluation.truth import IGNORE, Event

FloatArray = NDArray[np.float32]
# Every background is scaled to this RMS: 32 dB below full scale leaves headroom for 20 dB of SNR.
BACKGROUND_RMS = 820.0
FADE_SAMPLES = 160
# Shortest time from the end of one word to the start of the next.
MIN_GAP_S = 1.0
# Between two recordings of a background.
PAUSE_S = 0.3


@dataclass(frozen=True)
class StreamConfig:
    """How long test audio is made."""

    snr_db: float = 10.0
    """Level of the loudest 300 ms of each clip above the RMS of the whole background."""

    keywords_per_minute: float = 12.0
    minutes: float | None = None
    """Total length; None: that of the background."""

    file_minutes: float = 10.0
    grouping: str = "all"
    """See `test_audio.group`."""

    seed: int = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.snr_db):
            raise ConfigError(f"snr_db must be finite, got {self.snr_db}")
        if not 0 < self.keywords_per_minute <= 30:
            raise ConfigError(
                f"keywords_per_minute must be above 0 and at most 30, got "
                f"{self.keywords_per_minute}"
            )
        if self.file_minutes <= 0 or (self.minutes is not None and self.minutes <= 0):
            raise ConfigError("--minutes and --file-minutes must be above 0")


@dataclass(frozen=True)
class Background:
    """A long recording, and the spans in which it may itself contain a keyword."""

    samples: NDArray[np.int16] | FloatArray
    ignore: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Word:
    """A word to be spoken in test audio, at any level."""

    samples: FloatArray
    keyword: str
    """What the truth calls it."""

    gap_s: float
    """From the end of the word before, or the start of the audio, to the start of this one."""

    span: tuple[int, int]
    """First and last sample of the word itself."""

    @classmethod
    def of(cls, clip: Clip, *, gap_s: float, keyword: str | None = None) -> Word:
        """Return the word of a clip, by default under the clip's label."""
        samples = clip.read().astype(np.float32)
        return cls(samples, clip.label if keyword is None else keyword, gap_s, word_span(samples))


def mix_clips(
    clips: Sequence[Clip], background: Background, config: StreamConfig, *, file: str
) -> tuple[NDArray[np.int16], list[Event]]:
    """Return a background with clips mixed over it at an even rate, and the events.

    The clips are used in this order and repeated if they run out; their labels are the keywords.
    See `mix_words`.
    """
    words = _at_rate(clips, config.keywords_per_minute, np.random.default_rng(config.seed))
    mix, events = mix_words(words, background, snr_db=config.snr_db, file=file)
    return to_int16(mix), events


def _at_rate(clips: Sequence[Clip], per_minute: float, rng: np.random.Generator) -> Iterator[Word]:
    """Yield the words of clips for ever, so many a minute on average."""
    slot_s = 60 / per_minute
    gap_s = rng.uniform(1.0, 1.0 + slot_s)
    for clip in itertools.cycle(clips):
        word = Word.of(clip, gap_s=gap_s)
        yield word
        word_s = (word.span[1] - word.span[0]) / SAMPLE_RATE
        gap_s = MIN_GAP_S + rng.uniform(0, 2 * max(0.0, slot_s - word_s - MIN_GAP_S))


def mix_words(
    words: Iterable[Word], background: Background, *, snr_db: float, file: str
) -> tuple[FloatArray, list[Event]]:
    """Return a background with words mixed over it, and the events.

    Parameters
    ----------
    words : iterable of Word
        Taken until one no longer fits, with a second after it.
    background : Background
        Mono, 16 kHz; sets the length of the mix.
    snr_db : float
        Level of the loudest 300 ms of each word above the RMS of the whole background.
    file : str
        Name of the file in the events.

    Returns
    -------
    samples : ndarray of float32, shape (n_samples,)
        On the int16 scale, the background at `BACKGROUND_RMS`; may exceed int16.
    events : list of Event
        The span of each word by its energy, and the ignored spans.
    """
    mix = background.samples.astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(mix, dtype=np.float64)))) if len(mix) else 0.0
    if rms > 0:
        mix *= np.float32(BACKGROUND_RMS / rms)
    level = BACKGROUND_RMS * 10 ** (snr_db / 20)
    events = [Event(file, IGNORE, start, end) for start, end in background.ignore]
    position = 0
    for word in words:
        samples = _at_level(word.samples, level)
        first, last = word.span
        start = max(0, position + int(word.gap_s * SAMPLE_RATE) - first)
        if start + len(samples) + SAMPLE_RATE > len(mix):
            break
        mix[start : start + len(samples)] += samples
        position = start + last
        events.append(
            Event(file, word.keyword, (start + first) / SAMPLE_RATE, position / SAMPLE_RATE)
        )
    return mix, sorted(events, key=lambda event: event.start_s)


def word_span(samples: FloatArray) -> tuple[int, int]:
    """Return first and last sample where 20 ms of a clip come within 25 dB of its peak."""
    n_blocks = max(1, len(samples) // 320)
    blocks = samples[: n_blocks * 320].reshape(n_blocks, -1)
    energy = np.mean(np.square(blocks, dtype=np.float64), axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 10**-2.5)
    return int(loud[0]) * 320, min(len(samples), (int(loud[-1]) + 1) * 320)


def write_stream(samples: NDArray[np.int16], path: Path) -> None:
    """Write 16-bit WAV at 16 kHz."""
    with atomic_path(path) as temporary:
        soundfile.write(str(temporary), samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def join(utterances: Iterable[Utterance], *, ignored: frozenset[str] = frozenset()) -> Background:
    """Return recordings one after the other with short pauses, and the spans of ignored words."""
    pieces: list[NDArray[np.int16]] = []
    spans: list[tuple[float, float]] = []
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), np.int16)
    length = 0
    for one in utterances:
        samples = Clip(one.path, "background").read()
        spans += [
            ((length + word.start) / SAMPLE_RATE, (length + word.end) / SAMPLE_RATE)
            for word in one.words
            if word.text in ignored
        ]
        pieces += [samples, pause]
        length += len(samples) + len(pause)
    return Background(np.concatenate(pieces) if pieces else pause[:0], tuple(spans))


def _at_level(samples: FloatArray, level: float) -> FloatArray:
    """Return a clip scaled so that its loudest 300 ms are at `level`, with its ends faded."""
    loud = loud_level(samples)
    scaled = samples * np.float32(level / loud) if loud > 0 else samples.copy()
    ramp = np.linspace(0, 1, FADE_SAMPLES, dtype=np.float32)
    if len(scaled) >= 2 * FADE_SAMPLES:
        scaled[:FADE_SAMPLES] *= ramp
        scaled[-FADE_SAMPLES:] *= ramp[::-1]
    return scaled
