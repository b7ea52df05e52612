"""Run a fuzzer outside CI: coverage-guided with atheris, or at random where it is not installed.

    cd tests && python -m fuzz.run manifest --inputs 100000 --out FOLDER

Inputs that break a promise are kept in FOLDER/finds with their traceback, one for each place they
come from, and the run goes on. What grew the coverage is kept in FOLDER/corpus, for the next run.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz.checks import BrokenPromiseError

TARGETS = ("audio", "manifest", "pcm")
# What an input may take beyond what the program has when all is loaded.
MEMORY_ROOM = 512 * 2**20
TIMEOUT_S = 30
REPORT_EVERY = 1_000


class Trials:
    """Try inputs one by one, count what comes of them, and keep those that break a promise."""

    def __init__(self, target: Any, out: Path, *, alarm: bool) -> None:
        self._target = target
        self._alarm = _alarm if alarm else contextlib.nullcontext
        self._out = out
        self._finds = out / "finds"
        self._finds.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self.n_inputs = 0
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.places: collections.Counter[str] = collections.Counter()

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        self.n_inputs += 1
        try:
            with self._alarm():
                outcome = self._target(data)
        except Exception as error:
            outcome = "find"
            self._keep(data, error)
        self.outcomes[outcome] += 1
        if self.n_inputs % REPORT_EVERY == 0:
            self.report()

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/kws/" in frame.filename] or frames
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        if isinstance(error, BrokenPromiseError):
            where = str(error).partition(", got ")[0]
        place = f"{type(error).__name__} {where}"
        self.places[place] += 1
        if self.places[place] == 1:
            name = hashlib.sha256(place.encode()).hexdigest()[:12]
            (self._finds / f"{name}.input").write_bytes(data)
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            (self._finds / f"{name}.txt").write_text(
                f"{place}\n{text}", "utf-8", "backslashreplace"
            )

    def report(self) -> None:
        """Write the counts so far as a line of JSON."""
        seconds = time.monotonic() - self._started
        record = {
            "inputs": self.n_inputs,
            "seconds": round(seconds, 1),
            "inputs_per_s": round(self.n_inputs / seconds, 1),
            "outcomes": dict(self.outcomes),
            "finds": dict(self.places),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        for name in ("n_opened", "n_unconfirmed"):
            if hasattr(self._target, name):
                record[name] = getattr(self._target, name)
        with open(self._out / "counts.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raise an error where this takes longer than an input may."""

    def ring(number: int, frame: object) -> None:
        # Not a TimeoutError, which is an OSError: readers of files turn that into errors of ours.
        raise BrokenPromiseError(f"expected an end within {TIMEOUT_S} s, got none")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Parse the arguments and run."""
    given = _parser().parse_args()
    atheris = None if given.plain or given.replay else _atheris()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")
    given.out.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")
    # Files of the inputs come and go a thousand times a second: not on a disk where there is RAM.
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        with _instrumented(atheris):
            target = importlib.import_module(f"fuzz.fuzz_{given.target}").Target(Path(folder))
        # libFuzzer has an alarm of its own, which sees even C code that hangs.
        trials = Trials(target, given.out, alarm=atheris is None)
        seeds = target.seeds()
        for seed in seeds:
            trials(seed)
        limit_memory()
        if given.replay:
            for path in sorted((given.out / "corpus").iterdir()):
                trials(path.read_bytes())
        elif atheris is None:
            run_at_random(trials, target, seeds, n_inputs=given.inputs, seed=given.seed)
        else:
            _run_guided(atheris, trials, target, seeds, given)
        trials.report()
    return int(bool(trials.places))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__.split("\n")[0])
    made.add_argument("target", choices=TARGETS)
    made.add_argument("--inputs", type=int, default=100_000, help="how many (default: 100000)")
    made.add_argument("--seed", type=int, default=1, help="of all that is random (default: 1)")
    made.add_argument("--out", type=Path, required=True, help="folder for corpus, finds, counts")
    made.add_argument("--plain", action="store_true", help="at random, without atheris")
    made.add_argument("--replay", action="store_true", help="only what OUT/corpus holds, once")
    return made


def _atheris() -> Any:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        sys.stderr.write("no atheris (pip install atheris; Python 3.11 to 3.13): at random\n")
        return None


def _instrumented(atheris: Any) -> contextlib.AbstractContextManager[Any]:
    if atheris is None:
        return contextlib.nullcontext()
    return atheris.instrument_imports(include=["kws", "soundfile"])


def limit_memory(room: int = MEMORY_ROOM) -> None:
    """Let this process have so many bytes more than it has; beyond, Python raises MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_at_random(
    trials: Any, target: Any, seeds: list[bytes], *, n_inputs: int, seed: int
) -> None:
    """Try `n_inputs` changed seeds, the same ones for the same `seed`."""
    rng = random.Random(seed)
    for _ in range(n_inputs):
        data = rng.choice(seeds)
        for _ in range(rng.randint(1, 2)):
            data = target.mutate(data, rng)
        trials(data[: target.max_bytes])


def _run_guided(
    atheris: Any, trials: Trials, target: Any, seeds: list[bytes], given: argparse.Namespace
) -> None:
    """Hand over to libFuzzer, which ends the process when it is done."""
    corpus = given.out / "corpus"
    corpus.mkdir(exist_ok=True)
    for seed in seeds:
        if len(seed) <= target.max_bytes:
            (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.2:
            # libFuzzer drops seeds that reach no other line of Python, though they do of C.
            data = rng.choice(seeds)
        if rng.random() < 0.25:
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(bytes(data), rng)[:max_size]

    flags = [
        f"-runs={given.inputs}",
        f"-seed={given.seed}",
        f"-max_len={target.max_bytes}",
        f"-timeout={TIMEOUT_S}",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        # Decoders complain on both outputs of what they are fed; libFuzzer keeps its own.
        "-close_fd_mask=3",
        "-len_control=0",
        f"-artifact_prefix={given.out}/finds/libfuzzer-",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], trials, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
