"""Run a spotter over real audio and time every hop, and its stages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kws import models
from kws.audio.files import read_file
from kws.errors import KwsError
from kws.spotter import STAGES, Call, KeywordSpotter

WARM_UP_HOPS = 20
# A paced hop counts as late if it begins this share of a hop after its time.
LATE_SHARE = 0.1
MIN_PARTS = 3
DEMO = models.FIRMWARE_MODELS / "demo.wav"


@dataclass(frozen=True)
class Timings:
    """Seconds per hop of one run, warm-up left out."""

    hop_s: NDArray[np.float64]
    cpu_s: float
    audio_s: float
    late_s: NDArray[np.float64]
    """Delay of the start of each hop; all zero in a run that is not paced."""

    @property
    def cpu_s_per_audio_s(self) -> float:
        """CPU time of the whole process over the time of the audio."""
        return self.cpu_s / self.audio_s


class HopTimers:
    """Timers for the stages of one spotter (`kws.spotter.StageTimers`)."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._hops: list[tuple[float, ...]] = []

    def around(self, stage: str, call: Call) -> Call:
        """Return a timed function in place of `call`."""
        seconds, clock = self._seconds, time.perf_counter

        def timed(*arguments: Any, **keywords: Any) -> Any:
            before = clock()
            result = call(*arguments, **keywords)
            seconds[stage] += clock() - before
            return result

        return cast(Call, timed)

    def begin(self) -> None:
        """Forget all hops so far."""
        self._seconds.update(dict.fromkeys(STAGES, 0.0))
        self._hops = []

    def end_hop(self) -> None:
        """Keep the times of this hop."""
        self._hops.append(tuple(self._seconds.values()))
        self._seconds.update(dict.fromkeys(STAGES, 0.0))

    def stage_s(self) -> dict[str, NDArray[np.float64]]:
        """Return the seconds of each stage in each hop since `begin`."""
        return dict(zip(STAGES, np.array(self._hops, dtype=np.float64).T))


def looped(path: Path, seconds: float, *, sample_rate: int) -> NDArray[np.int16]:
    """Return at least `seconds` of a recording, repeated as needed."""
    samples = np.concatenate(list(read_file(path, sample_rate=sample_rate)))
    wanted = int(seconds * sample_rate)
    return np.tile(samples, -(-wanted // len(samples)))[:wanted]


def n_warm_up_hops(spotter: KeywordSpotter) -> int:
    """Return the hops after the first window that do not count, until all stages work."""
    return max(WARM_UP_HOPS, spotter.smoother.n_posteriors)


def least_s(spotter: KeywordSpotter) -> float:
    """Return the seconds of audio that warm-up and one hop need."""
    hops_s = (n_warm_up_hops(spotter) + 1) * spotter.hop_ms / 1000
    return spotter.window_samples / spotter.sample_rate + hops_s


def run(
    spotter: KeywordSpotter,
    samples: NDArray[np.int16],
    *,
    paced: bool = False,
    timers: HopTimers | None = None,
) -> Timings:
    """Feed audio hop by hop and return how long each hop took.

    Parameters
    ----------
    spotter : KeywordSpotter
        Reset first.
    samples : ndarray of int16, shape (n_samples,)
        The first window and `n_warm_up_hops` are processed at once and not counted.
    paced : bool
        Wait until each hop is due in real time: caches cool and wake-ups cost, as in use.
    timers : HopTimers, optional
        Those of the spotter; hold the times of the counted hops afterwards.

    Raises
    ------
    KwsError
        If there is too little audio.
    """
    spotter.reset()
    hop = spotter.hop_samples
    warm_up = spotter.window_samples + n_warm_up_hops(spotter) * hop
    if len(samples) < warm_up + hop:
        raise KwsError(
            f"expected at least {least_s(spotter):.1f} s of audio (a window, "
            f"{n_warm_up_hops(spotter)} hops of warm-up and one that counts), "
            f"got {len(samples) / spotter.sample_rate:.1f} s"
        )
    spotter.process(samples[:warm_up])
    starts = range(warm_up, len(samples) - hop + 1, hop)
    taken, late = np.zeros(len(starts)), np.zeros(len(starts))
    if timers is not None:
        timers.begin()
    clock = time.perf_counter
    began, cpu_began = clock(), time.process_time()
    for index, start in enumerate(starts):
        if paced:
            due = began + index * hop / spotter.sample_rate
            time.sleep(max(0.0, due - clock()))
            late[index] = max(0.0, clock() - due)
        before = clock()
        spotter.process(samples[start : start + hop])
        taken[index] = clock() - before
        if timers is not None:
            timers.end_hop()
    cpu_s = time.process_time() - cpu_began
    return Timings(taken, cpu_s, len(starts) * hop / spotter.sample_rate, late)


def percentiles_us(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return mean, p50, p95, p99 and max in microseconds."""
    us = seconds * 1e6
    p50, p95, p99 = np.percentile(us, (50, 95, 99))
    figures = {"mean": us.mean(), "p50": p50, "p95": p95, "p99": p99, "max": us.max()}
    return {name: round(float(value), 1) for name, value in figures.items()}


def p50_by_part_us(runs: list[NDArray[np.float64]]) -> list[float]:
    """Return the p50 of each run in microseconds, or of thirds of all if there are too few runs.

    Their spread shows how reliable the figures of the whole are.
    """
    parts = runs
    if len(runs) < MIN_PARTS:
        parts = [part for part in np.array_split(np.concatenate(runs), MIN_PARTS) if len(part)]
    return [round(float(np.median(part)) * 1e6, 1) for part in parts]
