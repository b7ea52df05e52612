"""Measure what a model costs on real audio, through `KeywordSpotter` itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws import models
from kws.audio_file import read_file
from kws.errors import KwsError, ModelError
from kws.spotter import KeywordSpotter

WARM_UP_HOPS = 20
DEMO = models.FIRMWARE_MODELS / "demo.wav"


@dataclass(frozen=True)
class Timings:
    """Seconds per hop of one run, warm-up left out."""

    hop_s: NDArray[np.float64]
    cpu_s: float
    audio_s: float


def looped(path: Path, seconds: float, *, sample_rate: int) -> NDArray[np.int16]:
    """Return at least `seconds` of a recording, repeated as often as it takes."""
    samples = np.concatenate(list(read_file(path, sample_rate=sample_rate)))
    wanted = int(seconds * sample_rate)
    return np.tile(samples, -(-wanted // len(samples)))[:wanted]


def run(spotter: KeywordSpotter, samples: NDArray[np.int16], *, paced: bool = False) -> Timings:
    """Feed audio hop by hop and return how long each hop took.

    Parameters
    ----------
    spotter : KeywordSpotter
        Reset first.
    samples : ndarray of int16, shape (n_samples,)
        The first window and `WARM_UP_HOPS` hops of it are not counted.
    paced : bool
        Wait until each hop would have been spoken: caches cool and wake-ups cost, as in use.
    """
    spotter.reset()
    hop = spotter.sample_rate * spotter.hop_ms // 1000
    warm_up = spotter.manifest.window.window_samples + WARM_UP_HOPS * hop
    if len(samples) < warm_up + hop:
        raise KwsError(f"expected at least {(warm_up + hop) / spotter.sample_rate:.1f} s of audio")
    spotter.process(samples[:warm_up])
    starts = range(warm_up, len(samples) - hop + 1, hop)
    taken = np.zeros(len(starts))
    clock = time.perf_counter
    began, cpu_began = clock(), time.process_time()
    for index, start in enumerate(starts):
        if paced:
            time.sleep(max(0.0, began + index * hop / spotter.sample_rate - clock()))
        before = clock()
        spotter.process(samples[start : start + hop])
        taken[index] = clock() - before
    return Timings(taken, time.process_time() - cpu_began, len(starts) * hop / spotter.sample_rate)


class StageClock:
    """Stand in for a stage's method and add up the time of each hop's calls."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.seconds: list[float] = []

    def __call__(self, *arguments: Any) -> Any:
        """Call through, and note how long it took."""
        before = time.perf_counter()
        result = self._call(*arguments)
        self.seconds.append(time.perf_counter() - before)
        return result


def run_stages(
    spotter: KeywordSpotter, samples: NDArray[np.int16], *, paced: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Return seconds per hop of front end, model, decision and the bare invoke.

    The spotter is used up: clocks stand in for its stages' methods.
    """
    interpreter = spotter.model.opened.interpreter
    clocks = {
        "front_end": StageClock(spotter.frontend.push),
        "model": StageClock(spotter.model.push),
        "smoothing": StageClock(spotter.smoother.push),
        "decision": StageClock(spotter.policy.push),
        "invoke": StageClock(interpreter.invoke),
    }
    stages: list[tuple[Any, str]] = [
        (spotter.frontend, "front_end"),
        (spotter.model, "model"),
        (spotter.smoother, "smoothing"),
        (spotter.policy, "decision"),
    ]
    for stage, name in stages:
        stage.push = clocks[name]
    interpreter.invoke = clocks["invoke"]
    n_hops = len(run(spotter, samples, paced=paced).hop_s)
    seconds = {name: np.array(clock.seconds[-n_hops:]) for name, clock in clocks.items()}
    seconds["decision"] = seconds["decision"] + seconds.pop("smoothing")
    return seconds


def percentiles_us(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return mean, p50, p95, p99 and max in microseconds."""
    us = seconds * 1e6
    p50, p95, p99 = np.percentile(us, (50, 95, 99))
    figures = {"mean": us.mean(), "p50": p50, "p95": p95, "p99": p99, "max": us.max()}
    return {name: round(float(value), 1) for name, value in figures.items()}


# What a fresh process does: the clock starts before it exists and stops at its first line.
FRESH = """\
import json, sys
import kws.cli
from pathlib import Path
from kws.audio_file import read_file
from kws.machine import peak_rss_mb
from kws.spotter import KeywordSpotter
options = json.loads(sys.argv[1])
path = Path(options.pop("audio"))
spotter = KeywordSpotter.from_model(**options)
seen = []
spotter.on_posterior = lambda *_: seen.append(1) or (len(seen) == 1 and print("first", flush=True))
for chunk in read_file(path, sample_rate=spotter.sample_rate):
    spotter.process(chunk)
spotter.flush()
print(peak_rss_mb())
"""


def fresh_process(options: dict[str, Any], audio: Path, *, repeats: int = 5) -> tuple[float, float]:
    """Return seconds from process start to the first posterior, and its peak RSS in MB.

    The median of `repeats` processes that read `audio` and run it all.
    """
    cold, rss = [], []
    argument = json.dumps({**options, "audio": str(audio)})
    for _ in range(repeats):
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", FRESH, argument], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            cold.append(time.perf_counter() - began)
            rest = process.stdout.read()
        if process.returncode or not rest:
            raise ModelError(f"a fresh process ended with exit code {process.returncode}")
        rss.append(float(rest))
    return round(float(np.median(cold)), 3), float(np.median(rss))
