"""Random schedules of events of a live microphone, from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Most blocks of a schedule: they determine its cost.
MAX_BLOCKS = 400
LONGEST_S = 25.0
# A blocked callback costs 0.5 s of real time at the end.
CALLBACKS = (
    *(*("none",) * 6, *("quick",) * 3),
    *("slow", "slow", "raising", "raising", "blocked", "blocked", "stopping", "closing"),
)
BLOCK_MIN_S, BLOCK_MAX_S = 1 / 48_000, 2.0


@dataclass(frozen=True)
class Step:
    """An event at a time, with its parameters."""

    time_s: float
    what: str
    value: Any = None


@dataclass
class Schedule:
    """The behaviour of a device, a machine and a caller. Times in seconds."""

    seed: int
    portaudio: bool
    """Use the real `kws.audio.microphone` on a simulated PortAudio."""

    rate: int
    rates: tuple[int, ...]
    counts: tuple[int, ...]
    channel: int | None
    gain_db: float
    block_ms: float
    stall_s: float
    reconnect: bool
    clock_error: float
    jitter_s: float
    starting_s: float
    disturbed: bool
    hop_ms: int
    callback: str
    """Behaviour of the callback: one of `CALLBACKS`."""

    busy: tuple[float, float] = (0.0, 0.0)
    """Probability that a chunk keeps the consumer busy, and the longest time."""

    waits_s: list[tuple[float, float]] = field(default_factory=list)
    """How long the caller listens, and how long it then does something else."""

    steps: list[Step] = field(default_factory=list)
    block_samples: Callable[[int], int] = lambda rate: rate // 20
    longest_block_s: float = 0.05


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(seed)
    portaudio = rng.random() < 0.3
    rate = rng.choice((8_000, 16_000, 16_000, 44_100, 48_000))
    n_channels = rng.randint(1, 8)
    made = Schedule(
        seed=seed,
        portaudio=portaudio,
        rate=rate,
        rates=tuple({rate, *rng.sample((8_000, 16_000, 44_100, 48_000), 2)}),
        counts=tuple({n_channels, *rng.sample(range(1, 9), 2)}),
        channel=rng.choice((None, None, 1, 2)) if portaudio else None,
        gain_db=rng.choice((0.0, 0.0, 0.0, 12.0, -12.0, 60.0)),
        block_ms=round(math.exp(rng.uniform(math.log(5), math.log(500))), 1),
        stall_s=rng.choice((0.5, 1.0, 3.0, 3.0, 10.0)),
        reconnect=rng.random() < 0.93,
        clock_error=rng.choice((0.0, 0.0, 4e-4, -4e-4)),
        jitter_s=rng.choice((0.0, 0.0, 0.005, 0.05, 0.3)),
        starting_s=rng.choice((0.0, 0.0, 0.001, 0.05)),
        disturbed=rng.random() < 0.5,
        hop_ms=100 if rng.random() < 0.15 else 1_000,
        callback=rng.choice(CALLBACKS),
        busy=rng.choice(((0.0, 0.0), (0.0, 0.0), (0.05, 0.5), (0.02, 6.0), (0.3, 0.1))),
    )
    _draw_blocks(made, rng)
    mean_s = made.block_ms / 1_000 if portaudio else _mean_block_s(made, rng)
    length_s = min(LONGEST_S, MAX_BLOCKS * mean_s)
    _draw_waits(made, rng, length_s)
    _draw_steps(made, rng, sum(map(sum, made.waits_s)))
    return made


def _draw_blocks(made: Schedule, rng: random.Random) -> None:
    """Draw blocks of equal or varying length, from a sample to two seconds."""
    low, high = sorted(
        math.exp(rng.uniform(math.log(BLOCK_MIN_S), math.log(BLOCK_MAX_S))) for _ in range(2)
    )
    if rng.random() < 0.4:
        low = high
    if rng.random() < 0.3:
        low, high = 0.01, 0.1
    # A separate generator: other draws must not depend on the number of blocks.
    own = random.Random(made.seed + 1)
    logs = math.log(low), math.log(high)
    made.block_samples = lambda rate: max(1, round(rate * math.exp(own.uniform(*logs))))
    made.longest_block_s = made.block_ms / 1_000 if made.portaudio else high


def _mean_block_s(made: Schedule, rng: random.Random) -> float:
    drawn = [made.block_samples(48_000) for _ in range(100)]
    return sum(drawn) / len(drawn) / 48_000


def _draw_waits(made: Schedule, rng: random.Random, length_s: float) -> None:
    for _ in range(rng.choice((1, 1, 2, 5))):
        away_s = rng.choice((0.0, 0.0, 0.1, 5.0)) if length_s > 5 else 0.0
        made.waits_s.append((rng.uniform(0.05, 1.0) * length_s, away_s))
    # The caller does nothing else after the last wait.
    made.waits_s[-1] = (made.waits_s[-1][0], 0.0)


def _draw_steps(made: Schedule, rng: random.Random, length_s: float) -> None:
    """Draw the events; outages and failing calls come in any order and may overlap."""
    for _ in range(rng.choice((0, 1, 2, 4, 8, 16))):
        time_s = rng.uniform(0.02, 1.0) * length_s
        what = rng.choice(
            ("unplug", "unplug", "unplug", "mute", "mute", "stall", "overflow", "open", "close")
        )
        value: Any = None
        if what in ("unplug", "mute"):
            value = rng.choice((0.01, 0.2, 1.0, 3.0)) * rng.random()
            made.steps.append(Step(time_s + value, "plug_in"))
        elif what == "stall":
            value = (rng.uniform(0.0, 1.2) * made.stall_s, rng.random() < 0.5)
        elif what == "overflow":
            value = rng.choice((0.0, 0.01, 0.3))
        elif what in ("open", "close"):
            value = rng.choice((0.0, 0.05, 0.3, 1.5, 12.0, math.inf))
            made.steps.append(Step(time_s + rng.uniform(0.1, 5.0), what, 0.01))
        made.steps.append(Step(time_s, what, value))
        if rng.random() < 0.1:
            made.steps.append(Step(time_s, "rate", rng.choice(made.rates)))
    if rng.random() < 0.3:
        made.steps.append(Step(rng.uniform(0.0, 1.0) * length_s, rng.choice(("stop", "interrupt"))))
    if rng.random() < 0.02:
        made.steps.append(Step(0.0, "open", rng.choice((5.0, 12.0, math.inf))))
    if rng.random() < 0.02:
        made.steps.append(Step(0.0, "unplug"))
