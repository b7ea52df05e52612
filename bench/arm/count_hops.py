"""Run hops of a real recording and mark where each part begins and ends, for `icount.c`.

Runs in the emulated machine. Three laps over the same hops, each with a fresh spotter: the whole
hop, the stages, and the invoke, so that no mark is inside what another one measures. Then calls
that do nothing, for the cost of a mark. Without the counter the marks do nothing, so the script
also runs on any other machine.

    python count_hops.py --hops 100 --input demo.wav --mode window --runtime tflite-runtime
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kws import models
from kws.audio.files import read_file
from kws.inference.select import default_hop_ms
from kws.spotter import KeywordSpotter

# As in icount.c. Each part has two marks, begin and end, in this order.
MARK = 0x6B777300
PARTS = ("whole", "front_end", "model", "smoothing", "decision", "invoke", "nothing")
# Until the smoothing span is full and all lazy imports and allocations are done.
WARM_UP_HOPS = 20
N_NOTHING = 50


class Marks:
    """Mark the begin and end of parts by seeks on /dev/null, which the counter recognises."""

    def __init__(self) -> None:
        self._file = os.open(os.devnull, os.O_RDONLY)
        self.active = False

    def around(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with marks before and after it."""
        begin = MARK + 2 * PARTS.index(part)
        seek, file = os.lseek, self._file

        def marked(*arguments: Any, **options: Any) -> Any:
            if not self.active:
                return call(*arguments, **options)
            seek(file, begin, os.SEEK_SET)
            result = call(*arguments, **options)
            seek(file, begin + 1, os.SEEK_SET)
            return result

        return marked


def hops(spotter: KeywordSpotter, samples: np.ndarray, n_hops: int) -> Iterator[np.ndarray]:
    """Yield the block of each hop after warm-up; the spotter is reset and warmed up first."""
    frontend = spotter.manifest.frontend
    hop = spotter.model.hop_frames * frontend.frame_step_samples
    start = frontend.n_samples(spotter.model.window_frames) + WARM_UP_HOPS * hop
    if len(samples) < start + n_hops * hop:
        seconds = (start + n_hops * hop) / frontend.sample_rate
        raise SystemExit(f"count_hops.py: {n_hops} hops take {seconds:.1f} s of audio, got less")
    spotter.reset()
    spotter.process(samples[:start])
    for index in range(n_hops):
        yield samples[start + index * hop : start + (index + 1) * hop]


def run_laps(
    make: Callable[..., KeywordSpotter], samples: np.ndarray, n_hops: int
) -> KeywordSpotter:
    """Run the laps and return the spotter of the last one."""
    marks = Marks()

    def lap(spotter: KeywordSpotter, process: Callable[..., Any]) -> None:
        for block in hops(spotter, samples, n_hops):
            marks.active = True
            process(block)
            marks.active = False

    spotter = make()
    lap(spotter, marks.around("whole", spotter.process))
    for stages in (("front_end", "model", "smoothing", "decision"), ("invoke",)):
        spotter = make(timers=Only(marks, stages))
        lap(spotter, spotter.process)
    nothing = marks.around("nothing", lambda: None)
    marks.active = True
    for _ in range(N_NOTHING):
        nothing()
    return spotter


class Only:
    """Mark some stages of a spotter and leave the others alone."""

    def __init__(self, marks: Marks, stages: tuple[str, ...]) -> None:
        self._marks, self._stages = marks, stages

    def around(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, with marks if it is one of the stages."""
        return self._marks.around(stage, call) if stage in self._stages else call


def describe(spotter: KeywordSpotter, n_hops: int) -> dict[str, Any]:
    """Return the conditions of the run."""
    opened = spotter.model.opened
    form = getattr(spotter.manifest, spotter.model.mode)
    return {
        "n_hops": n_hops,
        "hop_ms": spotter.hop_ms,
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "runtime": f"{opened.runtime} {opened.runtime_version}",
        "kernels": opened.kernels,
        "mode": spotter.model.mode,
        "model": spotter.manifest.name,
        "dtype": np.dtype(opened.outputs[0].dtype).name,
        "file": form.file,
        "sha256": form.sha256,
    }


def main() -> int:
    """Run all laps and print their conditions as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hops", type=int, default=100)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--runtime")
    parser.add_argument("--kernels", default="default")
    given = parser.parse_args()

    manifest = models.load(given.model)

    def make(**options: Any) -> KeywordSpotter:
        return KeywordSpotter.from_model(
            given.model,
            # Both forms at the hop of the stream form.
            hop_ms=default_hop_ms(manifest),
            mode=given.mode,
            runtime=given.runtime,
            kernels=given.kernels,
            **options,
        )

    samples = np.concatenate(list(read_file(given.input)))
    print(json.dumps(describe(run_laps(make, samples, given.hops), given.hops)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
