"""Synthesised words from voices that work offline: more speakers for words with few recordings.

Formant and diphone voices do not sound like people, so they only add to recordings
(docs/experiments.md has what they are worth).
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError, MissingDependencyError
from kws.files import atomic_path

RATE = 16_000
TIMEOUT_S = 20
# A word is a command's argument and a folder's name, so it must hold no special characters.
WORD = re.compile(r"[^\W\d_]+(?:[' -][^\W\d_]+)*")
ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan")
ESPEAK_TIMBRES = ("m1", "m3", "m7", "f1", "f2", "f4", "Annie", "Andy", "Alex", "belinda", "steph")
FLITE_VOICES = ("awb", "kal16", "rms", "slt")


@dataclass(frozen=True)
class Voice:
    """A synthetic voice: a command that writes a spoken word as WAV to its standard output."""

    name: str
    command: tuple[str, ...]

    @property
    def file(self) -> str:
        """File name of a word in this voice."""
        return f"{self.name}.wav"


def voices(rng: np.random.Generator) -> Iterator[Voice]:
    """Yield voices of the installed synthesisers without end.

    Raises
    ------
    MissingDependencyError
        If neither espeak-ng nor flite is there.
    """
    makers: list[Callable[[np.random.Generator], Voice]] = []
    # Each espeak-ng voice is one of a few timbres: flite's four come as often as a fifth of them.
    makers += [_espeak] * 4 if shutil.which("espeak-ng") else []
    makers += [_flite] if shutil.which("flite") else []
    if not makers:
        raise MissingDependencyError(
            "synthesis needs espeak-ng or flite; apt install espeak-ng flite"
        )
    while True:
        yield makers[rng.integers(len(makers))](rng)


def _espeak(rng: np.random.Generator) -> Voice:
    accent = ESPEAK_ACCENTS[rng.integers(len(ESPEAK_ACCENTS))]
    timbre = ESPEAK_TIMBRES[rng.integers(len(ESPEAK_TIMBRES))]
    speed, pitch = int(rng.integers(110, 210)), int(rng.integers(20, 80))
    return Voice(
        f"espeak-{accent}-{timbre}-{speed}-{pitch}",
        ("espeak-ng", "-v", f"{accent}+{timbre}", "-s", str(speed), "-p", str(pitch), "--stdout"),
    )


def _flite(rng: np.random.Generator) -> Voice:
    name = FLITE_VOICES[rng.integers(len(FLITE_VOICES))]
    stretch = f"{rng.uniform(0.8, 1.4):.2f}"
    shift = f"{rng.uniform(0.85, 1.15):.2f}"
    return Voice(
        f"flite-{name}-{stretch}-{shift}",
        (
            *("flite", "-voice", name, "--setf", f"duration_stretch={stretch}"),
            *("--setf", f"f0_shift={shift}", "-o", "/dev/stdout", "-t"),
        ),
    )


def drawn_voices(n_voices: int, *, seed: int, index: int = 0) -> list[Voice]:
    """Return the voices for the word of this index; some may be drawn twice."""
    return list(itertools.islice(voices(np.random.default_rng((seed, index))), n_voices))


def are_installed() -> bool:
    """Whether a synthesiser is installed."""
    return any(shutil.which(name) for name in ("espeak-ng", "flite"))


def say(voice: Voice, word: str) -> NDArray[np.int16]:
    """Return a word as int16 samples at 16 kHz, without leading and trailing silence.

    Raises
    ------
    AudioError
        If the synthesiser fails, or takes longer than 20 s.
    """
    try:
        done = subprocess.run(
            [*voice.command, word], capture_output=True, check=True, timeout=TIMEOUT_S
        )
        samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    except (OSError, subprocess.SubprocessError, soundfile.SoundFileError) as error:
        raise AudioError(f"{voice.name}: expected {word!r} as WAV, got: {error}") from error
    samples = soxr.resample(samples, rate, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max(initial=1e-9))
    if len(loud):
        samples = samples[max(0, loud[0] - 320) : loud[-1] + 320]
    return np.clip(np.round(samples * 32_767), -32_768, 32_767).astype(np.int16)


def synthesise(
    words: Sequence[str], out: Path, *, n_clips: int, seed: int = 1, most_samples: int = RATE
) -> Iterator[tuple[int, int]]:
    """Write `n_clips` clips of each word to ``out/WORD/VOICE.wav``; yield (words done, in all).

    At most `most_samples` are kept of each, a second; clips that are there already are left
    alone. A voice that is drawn twice is one clip, so that there may be fewer.

    Raises
    ------
    ConfigError
        If a word has more than letters, apostrophes, hyphens and single spaces between them, or
        no clips are asked for.
    """
    if n_clips < 1:
        raise ConfigError(f"--clips: expected at least 1, got {n_clips}")
    for word in words:
        if not WORD.fullmatch(word):
            raise ConfigError(
                f"expected a word of letters, with ' - or a space inside it, got {word!r}"
            )
    for index, word in enumerate(words):
        yield index, len(words)
        folder = out / word
        folder.mkdir(parents=True, exist_ok=True)
        for voice in drawn_voices(n_clips, seed=seed, index=index):
            path = folder / voice.file
            if not path.is_file():
                samples = say(voice, word)[:most_samples]
                with atomic_path(path) as temporary:
                    soundfile.write(temporary, data=samples, samplerate=RATE)
    yield len(words), len(words)
