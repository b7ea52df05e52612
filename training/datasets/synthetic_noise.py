"""Noise made by code: coloured noise, music, hum, motors, knocks, crackle, alarms, cries.

A network that never had a class of sound in training takes some of it for a word. Recordings of
every class do not exist; drawn parameters cover much of what a home sounds like.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.signal import lfilter, oaconvolve

from training.datasets.clips import SAMPLE_RATE

FloatArray = NDArray[np.float32]
SYNTHETIC_RMS = 2_000.0
N_FORMANTS = 3


def coloured(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return noise with a drawn spectral slope, a drawn resonance and a slowly drawn loudness.

    The slope is -9..3 dB an octave (brown noise has -6, pink -3, white 0), which covers hum, hiss,
    wind and fans; the resonance lifts a band as a motor or a pipe would.
    """
    frequency = np.arange(1, n_samples // 2 + 2, dtype=np.float32) / n_samples
    gain_db = rng.uniform(-9.0, 3.0) * np.log2(frequency * 16)
    centre, width = rng.uniform(-7.0, -1.0), rng.uniform(0.1, 1.5)
    gain_db += rng.uniform(0.0, 20.0) * np.exp(-(((np.log2(frequency) - centre) / width) ** 2))
    gain = 10.0 ** (np.clip(gain_db, -80.0, 60.0) / 20.0)
    phases = rng.random(len(gain), dtype=np.float32) * np.float32(2 * np.pi)
    noise = scipy.fft.irfft(gain * np.exp(1j * phases), n_samples)
    # Loudness varies between five points, by at most 12 dB.
    points = rng.uniform(-rng.uniform(0.0, 12.0), 0.0, 5)
    noise *= 10.0 ** (np.interp(np.linspace(0, 4, n_samples), np.arange(5), points) / 20.0)
    return _at_level(noise)


def music(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return notes of one to three voices: harmonics with an attack, a decay and vibrato."""
    mix = np.zeros(n_samples)
    for _ in range(int(rng.integers(1, 4))):
        brightness, attack_s = rng.uniform(0.5, 2.5), 10 ** rng.uniform(-2.5, -1.0)
        decay_s, tempo_s = 10 ** rng.uniform(-1.3, 0.0), 10 ** rng.uniform(-0.8, 0.0)
        vibrato, rate = rng.uniform(0.0, 0.02), rng.uniform(4.0, 7.0)
        start = -int(rng.integers(SAMPLE_RATE // 4))
        while start < n_samples:
            length = int(min(4 * decay_s, 0.8) * SAMPLE_RATE)
            t = np.arange(length) / SAMPLE_RATE
            pitch = 55.0 * 2 ** (int(rng.integers(0, 54)) / 12)
            phase = np.cumsum(1 + vibrato * np.sin(2 * np.pi * rate * t)) * pitch / SAMPLE_RATE
            note = _harmonics(phase, pitch, brightness, rng)
            note *= np.minimum(t / attack_s, 1.0) * np.exp(-t / decay_s) * rng.uniform(0.2, 1.0)
            first, last = max(0, start), min(n_samples, start + length)
            if last > first:
                mix[first:last] += note[first - start : last - start]
            start += int(tempo_s * rng.choice((0.5, 1.0, 1.0, 2.0)) * SAMPLE_RATE)
    return _at_level(mix)


def motor(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return mains hum, a motor or an engine: harmonics of a steady or gliding pitch, and hiss."""
    steady = rng.random() < 0.5
    low = rng.choice((50.0, 60.0, 100.0, 120.0)) if steady else 10 ** rng.uniform(1.3, 2.8)
    high = low if steady else low * 2 ** rng.uniform(-1.0, 1.0)
    pitch = np.linspace(low, high, n_samples)
    tone = _harmonics(np.cumsum(pitch) / SAMPLE_RATE, float(pitch.max()), rng.uniform(0, 2), rng)
    hiss = coloured(rng, n_samples) / SYNTHETIC_RMS
    return _at_level(tone / _rms(tone) + rng.uniform(0.0, 1.0) * hiss)


def knocks(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return one to twelve knocks, clicks, drops or slams: short noise through resonances."""
    hits = np.zeros(n_samples)
    kinds = [_resonance(rng) for _ in range(int(rng.integers(1, 3)))]
    for _ in range(int(rng.integers(1, 13))):
        kind = kinds[rng.integers(len(kinds))]
        start = int(rng.integers(n_samples))
        length = min(len(kind), n_samples - start)
        hits[start : start + length] += kind[:length] * rng.uniform(0.1, 1.0)
    floor = coloured(rng, n_samples) / SYNTHETIC_RMS * _rms(hits)
    return _at_level(hits + 10 ** rng.uniform(-2.5, -0.5) * floor)


def crackle(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return rain, fire, frying or rustling: up to thousands of small clicks a second."""
    per_s = 10 ** rng.uniform(1.0, 3.7)
    impulses = rng.poisson(per_s / SAMPLE_RATE, n_samples) * rng.normal(size=n_samples)
    impulses *= rng.gamma(0.5, size=n_samples)
    return _at_level(oaconvolve(impulses, _resonance(rng)[:800])[:n_samples])


def alarm(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return beeps, rings, sirens or whistles: one or two pitches that switch or sweep."""
    low = 10 ** rng.uniform(2.3, 3.6)
    high = low * 2 ** rng.uniform(0.0, 1.2)
    turn = (np.arange(n_samples) / SAMPLE_RATE * 10 ** rng.uniform(-0.3, 1.3) + rng.random()) % 1
    shape = rng.integers(3)
    if shape == 0:  # switches between two pitches
        pitch = np.where(turn < 0.5, low, high)
    else:  # sweeps up, or up and down
        pitch = low + (high - low) * (turn if shape == 1 else 1 - np.abs(2 * turn - 1))
    tone = _harmonics(np.cumsum(pitch) / SAMPLE_RATE, high, rng.uniform(0.5, 3.0), rng)
    duty = rng.uniform(0.2, 1.0) if rng.random() < 0.6 else 1.0
    gate = lfilter([0.02], [1, -0.98], (turn < duty).astype(float))
    return _at_level(tone * gate + 1e-3 * rng.normal(size=n_samples))


def cries(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return calls of a voice without words: babies, animals, birds, laughter, humming.

    A gliding pitch with harmonics passes through drifting formants (source-filter model), in
    bursts of 0.1 to 1 s.
    """
    mix = np.zeros(n_samples)
    base = 10 ** rng.uniform(1.9, 3.2)
    start = -int(rng.integers(SAMPLE_RATE // 4))
    burst_s = 10 ** rng.uniform(-1.0, 0.0)
    while start < n_samples:
        length = int(burst_s * rng.uniform(0.5, 1.5) * SAMPLE_RATE)
        knots = base * 2 ** rng.uniform(-0.5, 0.7, 4)
        pitch = np.interp(np.linspace(0, 3, length), np.arange(4), knots)
        voice = _harmonics(np.cumsum(pitch) / SAMPLE_RATE, float(pitch.max()), 1.0, rng)
        voice += rng.uniform(0.0, 0.5) * rng.normal(size=length)
        for _ in range(N_FORMANTS):
            voice = lfilter(*_resonator(rng.uniform(250, 3_800), rng.uniform(0.9, 0.985)), voice)
        voice *= np.sin(np.linspace(0, np.pi, length)) ** rng.uniform(0.2, 1.0)
        first, last = max(0, start), min(n_samples, start + length)
        if last > first:
            part = voice[first - start : last - start]
            mix[first:last] += part / (np.abs(voice).max() + 1e-9) * rng.uniform(0.3, 1.0)
        start += length + int(rng.uniform(0.02, 0.5) * SAMPLE_RATE)
    return _at_level(mix + 1e-3 * rng.normal(size=n_samples))


KINDS: dict[str, Callable[[np.random.Generator, int], NDArray[np.int16]]] = {
    "coloured": coloured,
    "music": music,
    "motor": motor,
    "knocks": knocks,
    "crackle": crackle,
    "alarm": alarm,
    "cries": cries,
}


def synthetic(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return int16 noise ``(n_samples,)`` at 16 kHz of a kind drawn evenly from `KINDS`."""
    return KINDS[list(KINDS)[rng.integers(len(KINDS))]](rng, n_samples)


def _harmonics(
    phase: NDArray[np.float64], highest_hz: float, slope: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return up to 16 harmonics of a phase in turns, the n-th weaker by about ``n ** slope``."""
    n_harmonics = int(np.clip(SAMPLE_RATE / 2 // highest_hz, 1, rng.integers(1, 17)))
    # Sines are many times as fast in float32, whose steps are fine enough within one turn.
    turns = (phase % 1.0).astype(np.float32)
    total = np.zeros(len(phase), np.float32)
    for number in range(1, n_harmonics + 1):
        weight = np.float32(rng.uniform(0.3, 1.0) / number**slope)
        angle = np.float32(2 * np.pi * number) * turns + np.float32(2 * np.pi * rng.random())
        total += weight * np.sin(angle)
    return total.astype(np.float64)


def _resonance(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a decaying burst of a few modes, a knock on something: at most half a second."""
    decay_s = 10 ** rng.uniform(-3.0, -0.9)
    t = np.arange(int(min(6 * decay_s, 0.5) * SAMPLE_RATE) + 1) / SAMPLE_RATE
    burst = rng.uniform(0.0, 1.0) * rng.normal(size=len(t)) * np.exp(-t / (decay_s / 3))
    for _ in range(int(rng.integers(1, 6))):
        frequency = 10 ** rng.uniform(1.8, 3.8)
        burst += rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6.28))
    return np.asarray(burst * np.exp(-t / decay_s))


def _resonator(frequency: float, radius: float) -> tuple[list[float], list[float]]:
    """Return numerator and denominator of a two-pole resonance at `frequency` Hz."""
    angle = 2 * np.pi * frequency / SAMPLE_RATE
    return [1 - radius], [1.0, -2 * radius * float(np.cos(angle)), radius**2]


def _rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) + 1e-9


def _at_level(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    scaled = samples * (SYNTHETIC_RMS / _rms(samples))
    return np.clip(scaled, -32_768, 32_767).astype(np.int16)
