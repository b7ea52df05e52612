"""Cold start and memory of fresh processes: the spotter's, and a baseline without it."""

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

# Audio for a fresh process: some hops after the first window.
AUDIO_S = 4
# Both programs end with this. VmHWM, because getrusage would count what the parent process held
# before exec; getrusage where there is no /proc.
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
# `python -c` puts the working directory first on the path, which may be another checkout.
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
# What every program with this model needs: numpy, the interpreter, the model, one invoke.
BASELINE = (
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
    """Python code, and the JSON that is its only argument."""

    code: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Start:
    """One fresh process: seconds from its creation to its first result, and peak RSS."""

    cold_s: float
    rss_mb: float


def spotter_program(options: Mapping[str, Any]) -> Program:
    """Return the program that spots keywords, with options of `KeywordSpotter.from_model`."""
    return Program(SPOTTER, {**options, "name_or_path": str(options["name_or_path"])})


def baseline_program(file: Path, opened: OpenModel) -> Program:
    """Return the program that only loads numpy, the interpreter and a model, and invokes it."""
    return Program(
        BASELINE,
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
    """Start each program once per round, in turn, and return the starts of each.

    The samples are their standard input. `progress` is called before each round.

    Raises
    ------
    ModelError
        If a process fails, with the last line of its stderr.
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


def start_figures(own: Sequence[Start], baseline: Sequence[Start]) -> dict[str, float]:
    """Return median cold start and memory of the spotter, of the baseline, and the difference."""
    cold_s, cold_base_s = (float(np.median([s.cold_s for s in part])) for part in (own, baseline))
    rss_mb, rss_base_mb = (float(np.median([s.rss_mb for s in part])) for part in (own, baseline))
    return {
        "cold_start_s": round(cold_s, 4),
        "cold_start_baseline_s": round(cold_base_s, 4),
        "cold_start_over_baseline_s": round(cold_s - cold_base_s, 4),
        "rss_mb": round(rss_mb, 1),
        "rss_baseline_mb": round(rss_base_mb, 1),
        "rss_over_baseline_mb": round(rss_mb - rss_base_mb, 1),
    }


def _start(program: Program, pcm: Path) -> Start:
    argument = json.dumps(dict(program.options))
    with open(pcm, "rb") as audio, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", program.code, argument],
            stdin=audio,
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
            lines = errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
            raise ModelError(
                f"a fresh process failed with exit code {process.returncode}: {lines[-1]}"
            )
    return Start(cold_s, float(rest))
