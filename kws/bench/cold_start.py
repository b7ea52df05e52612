"""Cold start and memory of fresh processes: the spotter's, and the floor that it stands on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ModelError
from kws.inference.interpreter import RUNTIMES, OpenModel

# Audio that a fresh process hears: some hops after the first window.
HEARD_S = 4
# What both kinds of process do at their end. The kernel's own mark, because getrusage would
# count what the parent held before exec; but there is none outside Linux.
PRINT_PEAK_MB = """
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
except (OSError, StopIteration):
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**20 if sys.platform == "darwin" else 2**10
print(peak)
"""
# `python -c` looks for modules in the working directory first, which may be another checkout.
NOT_FROM_HERE = """\
import sys
sys.path[:] = [entry for entry in sys.path if entry]
"""
# PCM in, detections out, as `arecord | kws-listen --input -` does.
SPOTTER = (
    NOT_FROM_HERE
    + """\
import json, sys
import kws.cli
from kws.audio.files import read_pcm
from kws.spotter import KeywordSpotter
options = json.loads(sys.argv[1])
spotter = KeywordSpotter.from_model(**options)
seen = []
spotter.on_posterior = lambda *_: seen.append(1) or (len(seen) == 1 and print("first", flush=True))
for chunk in read_pcm(sys.stdin.buffer):
    spotter.process(chunk)
"""
    + PRINT_PEAK_MB
)
# What no program on this model can do without: numpy, the interpreter, the model, one run of it.
FLOOR = (
    NOT_FROM_HERE
    + """\
import json, os, sys
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy
from importlib import import_module
options = json.loads(sys.argv[1])
module = import_module(options["module"])
with open(options["file"], "rb") as file:
    content = file.read()
interpreter = module.Interpreter(
    model_content=content,
    num_threads=options["n_threads"],
    experimental_op_resolver_type=getattr(module.OpResolverType, options["resolver"]),
)
interpreter.allocate_tensors()
interpreter.invoke()
print("first", flush=True)
"""
    + PRINT_PEAK_MB
)


@dataclass(frozen=True)
class Program:
    """Python code, and the JSON that it gets as its only argument."""

    code: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Start:
    """One fresh process: seconds from before it existed to its first result, and peak RSS."""

    cold_s: float
    rss_mb: float


def spotter_program(options: Mapping[str, Any]) -> Program:
    """Return the process that spots; `options` are those of `KeywordSpotter.from_model`."""
    return Program(SPOTTER, {**options, "name_or_path": str(options["name_or_path"])})


def floor_program(file: Path, opened: OpenModel) -> Program:
    """Return the process that only loads numpy, the interpreter and this file, and invokes once."""
    return Program(
        FLOOR,
        {
            "file": str(file),
            "module": RUNTIMES[opened.runtime],
            "n_threads": opened.n_threads,
            "resolver": "BUILTIN_REF" if opened.kernels == "reference" else "AUTO",
        },
    )


def start_in_turn(
    programs: Sequence[Program],
    samples: NDArray[np.int16],
    *,
    n_rounds: int,
    progress: Callable[[], None] = lambda: None,
) -> list[list[Start]]:
    """Start each program once a round, in turn, so that all meet the same machine.

    Parameters
    ----------
    programs : sequence of Program
        What to start.
    samples : ndarray of int16, shape (n_samples,)
        Raw PCM for their standard input.
    n_rounds : int
        Starts of each.
    progress : callable
        Called before each round.

    Returns
    -------
    starts : list of list of Start
        One list of `n_rounds` a program.

    Raises
    ------
    ModelError
        If a process fails, with the last line that it wrote.
    """
    starts: list[list[Start]] = [[] for _ in programs]
    with tempfile.TemporaryDirectory() as folder:
        pcm = Path(folder, "pcm")
        pcm.write_bytes(samples.astype("<i2").tobytes())
        for _ in range(n_rounds):
            progress()
            for program, found in zip(programs, starts):
                found.append(_start(program, pcm))
    return starts


def medians(starts: Sequence[Start]) -> tuple[float, float]:
    """Return the median cold start in seconds and the median peak RSS in MB."""
    cold = float(np.median([start.cold_s for start in starts]))
    rss = float(np.median([start.rss_mb for start in starts]))
    return round(cold, 4), round(rss, 1)


def _start(program: Program, pcm: Path) -> Start:
    argument = json.dumps(dict(program.options))
    with open(pcm, "rb") as heard, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", program.code, argument],
            stdin=heard,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            cold_s = time.perf_counter() - began
            rest = process.stdout.read()
        if process.returncode or not first or not rest:
            errors.seek(0, os.SEEK_SET)
            said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise ModelError(
                f"a fresh process ended with exit code {process.returncode} and said: {said[-1]}"
            )
    return Start(cold_s, float(rest))
