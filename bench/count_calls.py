"""Count the Python calls that the spotter makes for a block of 10 ms, without and with a hop.

python bench/count_calls.py [MODEL] [window|stream]
"""

from __future__ import annotations

import sys
from statistics import mean
from types import FrameType
from typing import Any

import soundfile

from kws import KeywordSpotter
from kws.models import FIRMWARE_MODELS

BLOCK_SAMPLES = 160


def main(model: str = "default", mode: str = "auto") -> None:
    """Print the mean number of Python functions and of C functions called per block."""
    spotter = KeywordSpotter.from_model(model, mode=mode)
    audio, _ = soundfile.read(FIRMWARE_MODELS / "demo.wav", dtype="int16")
    blocks = [audio[i : i + BLOCK_SAMPLES] for i in range(0, len(audio), BLOCK_SAMPLES)]
    for block in blocks[:300]:
        spotter.process(block)
    counted: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    calls: dict[str, int] = {}

    def count(_: FrameType, event: str, __: Any) -> None:
        calls[event] = calls.get(event, 0) + 1

    hops: list[int] = []
    spotter.on_posterior = lambda *_: hops.append(1)
    for block in blocks[300:-1]:
        calls.clear()
        hops.clear()
        sys.setprofile(count)
        spotter.process(block)
        sys.setprofile(None)
        # Neither the call of the hook nor that of `sys.setprofile` is the spotter's own.
        python, native = calls["call"] - len(hops), calls["c_call"] - len(hops) - 1
        counted[bool(hops)].append((python, native))
    for with_hop, title in ((False, "without a hop"), (True, "with a hop")):
        python, native = (mean(column) for column in zip(*counted[with_hop]))
        print(f"{title:14} {python:6.1f} Python calls, {native:6.1f} C calls a block")


if __name__ == "__main__":
    main(*sys.argv[1:])
