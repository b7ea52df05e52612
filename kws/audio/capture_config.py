"""How a microphone is opened and watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from kws.dataclass_io import check_range
from kws.errors import ConfigError

LATENCIES = ("low", "high")
# Python 3.9 reads this at run time, where it knows no "float | str".
Latency = Union[float, str]


@dataclass(frozen=True)
class CaptureConfig:
    """Settings of a live microphone. Times in ms unless a name says otherwise."""

    channel: int | None = None
    """Channel to use, from 1; None is the mean of all."""

    gain_db: float = 0.0
    """Gain on the samples, -60 to 60 dB. Samples beyond full scale are clipped and counted;
    prefer to raise the level of the device itself."""

    latency: Latency = "high"
    """Latency to request from PortAudio: ``low``, ``high``, or 1 to 2000 ms. Lower delivers audio
    sooner, and loses audio sooner on a busy machine."""

    block_ms: float = 50.0
    """Length of the blocks from the device, 5 to 500. Shorter wakes the CPU more often."""

    stall_s: float = 3.0
    """Time without a block after which the device counts as lost, 0.5 to 60. Neither PortAudio nor
    a sound server reports a stall. An idle server may take two seconds until its first block."""

    reconnect: bool = True
    """Open a lost device again as soon as it is back; if False, a loss is an error."""

    def __post_init__(self) -> None:
        if self.channel is not None:
            check_range("channel", self.channel, 1, 256)
        check_range("gain_db", self.gain_db, -60.0, 60.0)
        check_range("block_ms", self.block_ms, 5.0, 500.0)
        check_range("stall_s", self.stall_s, 0.5, 60.0)
        if not isinstance(self.latency, str):
            check_range("latency", self.latency, 1.0, 2_000.0)
        elif self.latency not in LATENCIES:
            raise ConfigError(
                f"latency: expected low, high or a number of ms, got {self.latency!r}"
            )
