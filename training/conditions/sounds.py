"""The sounds around the words of test audio: a quiet room, noise, a voice, and room responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.fft
import soundfile
from numpy.typing import NDArray

from training.conditions.sources import Half
from training.datasets.aligned_speech import Utterance, free_spans, sounds_like
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.rooms import simulate_room
from training.evaluation.mix_stream import Background, join
from training.evaluation.noisy_clips import DISTANCE_M, RT60_S

FloatArray = NDArray[np.float32]
FADE_SAMPLES = 800
# Of a 20 ms block below full scale: digital silence, with which short recordings are filled up.
SILENT_RMS = 2.0
BLOCK_SAMPLES = 320


def quiet_room(rng: np.random.Generator, n_samples: int) -> FloatArray:
    """Return steady noise that falls by 4 to 8 dB an octave, as a quiet room has."""
    # Some lengths take the transform many times longer than the next that suits it.
    n_fast = scipy.fft.next_fast_len(n_samples, real=True)
    frequency = np.arange(n_fast // 2 + 1, dtype=np.float32) * np.float32(SAMPLE_RATE / n_fast)
    gain = (frequency / 100 + 1) ** np.float32(-rng.uniform(4.0, 8.0) / 6.02)
    angles = rng.random(len(gain), dtype=np.float32) * np.float32(2 * np.pi)
    noise = scipy.fft.irfft(gain * np.exp(1j * angles), n_fast)
    return unit_rms(noise[:n_samples].astype(np.float32))


def noise_track(rng: np.random.Generator, clips: Sequence[Clip], n_samples: int) -> FloatArray:
    """Return pieces of 5 to 15 s of recordings in drawn order, each at the same level."""
    pieces: list[FloatArray] = []
    length = 0
    while length < n_samples:
        piece = noise_piece(rng, clips, int(rng.uniform(5.0, 15.0) * SAMPLE_RATE))
        pieces.append(piece)
        length += len(piece)
    return np.concatenate(pieces)[:n_samples]


def noise_piece(rng: np.random.Generator, clips: Sequence[Clip], n_samples: int) -> FloatArray:
    """Return a cut of a drawn recording with faded ends, RMS 1; a short one is repeated."""
    sound = audible(_cut(rng, clips[int(rng.integers(len(clips)))], n_samples))
    if len(sound) < n_samples:
        sound = np.tile(sound, -(-n_samples // len(sound)))
    start = int(rng.integers(len(sound) - n_samples + 1))
    return faded(unit_rms(sound[start : start + n_samples]))


def _cut(rng: np.random.Generator, clip: Clip, n_samples: int) -> FloatArray:
    """Return a recording, of a long one a drawn stretch only, so that not all is decoded."""
    info = soundfile.info(str(clip.path))
    there = info.frames - clip.start if clip.n_samples is None else clip.n_samples
    wanted = 2 * n_samples * info.samplerate // SAMPLE_RATE
    if there > wanted:
        clip = replace(clip, start=clip.start + int(rng.integers(there - wanted)), n_samples=wanted)
    return clip.read().astype(np.float32)


def audible(samples: FloatArray) -> FloatArray:
    """Return a recording without its digital silence; one of nothing else as it is."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    loud = np.sqrt(np.mean(np.square(blocks), axis=1)) > SILENT_RMS
    return blocks[loud].ravel() if loud.any() else samples


def babble_piece(
    rng: np.random.Generator,
    voices: Sequence[Sequence[Utterance]],
    n_samples: int,
    keywords: tuple[str, ...],
) -> FloatArray:
    """Return three to eight voices at once without keywords, RMS 1."""
    alike = sounds_like(keywords)
    total = np.zeros(n_samples, np.float32)
    order = rng.permutation(len(voices))
    for number in range(int(rng.integers(3, 9))):
        voice = voices[order[number % len(voices)]]
        spans = [
            Clip(one.path, "voice", start, end - start)
            for one in voice
            for start, end in free_spans(one, exclude=alike)
        ]
        track = noise_track(rng, spans, n_samples) if spans else total[:0]
        total[: len(track)] += track * np.float32(rng.uniform(0.4, 1.0))
    return faded(unit_rms(total))


def running_voice(
    rng: np.random.Generator,
    voices: Sequence[Sequence[Utterance]],
    n_samples: int,
    keywords: tuple[str, ...],
) -> Background:
    """Return a drawn speaker's utterances one after the other, with the spans of keywords."""
    voice = voices[int(rng.integers(len(voices)))]
    start = int(rng.integers(len(voice)))
    turned = [*voice[start:], *voice[:start]]
    wanted: list[Utterance] = []
    length = 0
    while length < n_samples:
        one = turned[len(wanted) % len(turned)]
        wanted.append(one)
        length += one.n_samples
    whole = join(wanted, ignored=sounds_like(keywords))
    spans = tuple(span for span in whole.ignore if span[0] < n_samples / SAMPLE_RATE)
    return Background(whole.samples[:n_samples], spans)


def all_recordings(half: Half) -> list[Clip]:
    """Return the noise of a half: that of unheard kinds, or all where there is none such."""
    kinds = half.unheard or frozenset(half.noise)
    return [clip for kind in sorted(kinds) for clip in half.noise[kind]]


def unit_rms(samples: FloatArray) -> FloatArray:
    """Return samples scaled to an RMS of 1; silence as it is."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return samples / np.float32(rms) if rms > 0 else samples


def faded(samples: FloatArray) -> FloatArray:
    """Return samples that begin and end softly, in 50 ms."""
    made = samples.copy()
    n_samples = min(FADE_SAMPLES, len(made) // 2)
    ramp = np.linspace(0, 1, n_samples, dtype=np.float32)
    made[:n_samples] *= ramp
    made[len(made) - n_samples :] *= ramp[::-1]
    return made


def room_responses(half: Half, rng: np.random.Generator, number: int) -> list[FloatArray]:
    """Return so many responses of drawn rooms, or the measured ones of the half.

    Raises
    ------
    MissingDependencyError
        If rooms are simulated, and the library for it is missing.
    """
    return list(half.responses) or [
        simulate_room(rng, distance_m=DISTANCE_M, rt60_s=RT60_S)[0] for _ in range(number)
    ]
