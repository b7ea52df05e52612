"""What resampling to 16 kHz does to the sound, and what it costs: soxr's qualities and scipy.

Each resampler gets the same audio and the same tones. Ripple is how far the gain of tones from
100 Hz to 7 kHz lies from 1; the loss at 7.5 kHz tells how early the band ends; what tones from
9 kHz to half the device's rate leave behind is aliased speech-band noise; the delay is how long
the stream keeps samples back. CPU is the least of several turns, in turn, as a ratio to HQ, which
`kws.audio.resample` uses, in blocks of 50 ms; scipy has no stream, and gets the whole.

    python bench/live/resampling.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from math import gcd
from typing import Any, NamedTuple

import numpy as np
import rig
import soundfile
import soxr
from scipy.signal import resample_poly

OUT_RATE = 16_000
BLOCK_S = 0.05
TONE_S = 1.0
# Of full scale: int16 rounding, 98 dB below it, stays out of the figures in float32.
LEVEL = 0.5
QUALITIES = ("QQ", "LQ", "MQ", "HQ", "VHQ")


class Candidate(NamedTuple):
    """A way of resampling float32."""

    name: str
    resample: Callable[[np.ndarray, int], np.ndarray]


def soxr_stream(quality: str) -> Candidate:
    """Return soxr's stream, fed block by block as a device delivers."""

    def resample(samples: np.ndarray, rate: int) -> np.ndarray:
        stream = soxr.ResampleStream(rate, OUT_RATE, 1, dtype="float32", quality=quality)
        size = round(rate * BLOCK_S)
        starts = range(0, len(samples), size)
        return np.concatenate(
            [
                stream.resample_chunk(samples[at : at + size], last=at + size >= len(samples))
                for at in starts
            ]
        )

    return Candidate(f"soxr {quality}", resample)


def polyphase(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample the whole with scipy's default filter."""
    common = gcd(rate, OUT_RATE)
    return np.asarray(resample_poly(samples, OUT_RATE // common, rate // common), dtype=np.float32)


def gain_db(candidate: Candidate, rate: int, hz: float) -> float:
    """Return what is left of a tone, in dB; the edges are not looked at."""
    times = np.arange(round(rate * TONE_S)) / rate
    tone = (LEVEL * np.sin(2 * np.pi * hz * times)).astype(np.float32)
    made = candidate.resample(tone, rate)[OUT_RATE // 4 : -OUT_RATE // 4]
    power = float(np.mean(np.square(made, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-20) / (LEVEL**2 / 2)))


def delay_ms(quality: str, rate: int) -> float:
    """Return how much audio a stream has kept back after two seconds."""
    stream = soxr.ResampleStream(rate, OUT_RATE, 1, dtype="float32", quality=quality)
    size = round(rate * BLOCK_S)
    n_out = sum(len(stream.resample_chunk(np.zeros(size, np.float32))) for _ in range(40))
    return 1000 * (40 * size / rate - n_out / OUT_RATE)


def costs(candidates: list[Candidate], samples: np.ndarray, rate: int, turns: int) -> list[float]:
    """Return microseconds of CPU for a second of audio, each the least of several turns."""
    least = [float("inf")] * len(candidates)
    for _ in range(turns):
        for number, candidate in enumerate(candidates):
            before = time.process_time()
            candidate.resample(samples, rate)
            least[number] = min(least[number], time.process_time() - before)
    return [1e6 * each / (len(samples) / rate) for each in least]


def measure(rate: int, turns: int) -> list[dict[str, Any]]:
    """Return a row for each way."""
    candidates = [*map(soxr_stream, QUALITIES), Candidate("scipy resample_poly", polyphase)]
    speech, speech_rate = soundfile.read(rig.DEMO, dtype="float32")
    cost = costs(candidates, soxr.resample(speech, speech_rate, rate), rate, turns)
    reference = cost[QUALITIES.index("HQ")]
    rows = []
    for candidate, microseconds in zip(candidates, cost):
        band = [gain_db(candidate, rate, hz) for hz in np.arange(100, 7_001, 300)]
        above = [gain_db(candidate, rate, hz) for hz in np.arange(9_000, rate / 2 - 100, 390)]
        quality = candidate.name.rpartition(" ")[2]
        rows.append(
            {
                "name": candidate.name,
                "rate": rate,
                "ripple_db": round(max(map(abs, band)), 3),
                "at_7500_db": round(gain_db(candidate, rate, 7_500), 2),
                "alias_8500_db": round(gain_db(candidate, rate, 8_500), 1),
                "worst_alias_db": round(max(above), 1),
                "delay_ms": round(delay_ms(quality, rate), 1) if quality in QUALITIES else None,
                "us_per_s": round(microseconds),
                "to_hq": round(microseconds / reference, 2),
            }
        )
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[48_000, 44_100])
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    rows = [row for rate in arguments.rates for row in measure(rate, arguments.turns)]
    print("| from | with | ripple to 7 kHz | 7.5 kHz | 8.5 kHz | alias from 9 kHz | delay | CPU |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        delay = "-" if row["delay_ms"] is None else f"{row['delay_ms']} ms"
        print(
            f"| {row['rate']} | {row['name']} | {row['ripple_db']} dB | {row['at_7500_db']} dB | "
            f"{row['alias_8500_db']} dB | {row['worst_alias_db']} dB | {delay} | x{row['to_hq']} |"
        )
    hq = [row for row in rows if row["name"] == "soxr HQ"]
    costs_of_hq = ", ".join(f"{row['us_per_s']} us from {row['rate']} Hz" for row in hq)
    rig.report({"rows": rows}, f"soxr HQ takes {costs_of_hq} for a second of audio")


if __name__ == "__main__":
    main()
