"""What the energy gate saves and changes: the same audio with and without it, in one run.

Audio goes in turn, ten seconds at a time, through a spotter without a gate and one for each level,
so that whatever else the machine does meets all of them alike; of several rounds the least CPU
time of each ten seconds counts. With --floor-db, seeded noise of that level is added.
With --instructions, valgrind counts what each takes in a process of its own: two rounds less one,
so that neither loading nor the end of the audio counts. That is exact, and slow.

    python bench/live/gate.py firmware_models/demo.wav --rounds 10 --instructions
    python bench/live/gate.py words-in-silence --floor-db -65 --gate-db -60 -50 -40
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before numpy loads: BLAS threads would only spin on such small matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from kws.audio.files import read_file
from kws.decision.policy import Detection
from kws.errors import KwsError
from kws.spotter import KeywordSpotter

TURN_S = 10
# Two detections of a keyword this close belong to one word.
KEPT_S = 0.5
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus"}
VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


class Runner:
    """One spotter, its CPU time and its detections."""

    def __init__(self, spotter: KeywordSpotter) -> None:
        self.spotter = spotter
        self._least_s: dict[tuple[str, int], float] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a round."""
        self.detected: list[tuple[str, Detection]] = []
        self.gated_hops = 0

    @property
    def cpu_s(self) -> float:
        """CPU time of one round."""
        return sum(self._least_s.values())

    def process(self, block: np.ndarray, file: str, turn: int) -> None:
        """Spot in a block, hop by hop as a microphone delivers it."""
        hop = self.spotter.hop_samples
        before = time.process_time()
        for at in range(0, len(block), hop):
            for found in self.spotter.process(block[at : at + hop]):
                self.detected.append((file, found))
        spent = time.process_time() - before
        self._least_s[file, turn] = min(spent, self._least_s.get((file, turn), spent))

    def end(self, file: str) -> None:
        """End a file."""
        self.gated_hops += self.spotter.gated_hops
        self.detected += [(file, found) for found in self.spotter.flush()]


def audio_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and those in the folders."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix in AUDIO_SUFFIXES]
    return found


def read(file: Path, sample_rate: int, given: argparse.Namespace) -> np.ndarray:
    """Return a file's samples over the noise that was asked for."""
    samples = np.concatenate(list(read_file(file, sample_rate=sample_rate)))
    if given.seconds is not None:
        samples = samples[: round(given.seconds * sample_rate)]
    if given.floor_db is None:
        return samples
    rng = np.random.default_rng(len(samples))
    noise = rng.normal(0, 32_768 * 10 ** (given.floor_db / 20), len(samples))
    return np.clip(np.round(samples + noise), -32_768, 32_767).astype(np.int16)


def run_round(runners: Sequence[Runner], given: argparse.Namespace, first: int) -> tuple[int, int]:
    """Run all over the audio, in turn; return how many samples and hops it has."""
    plain = runners[0].spotter
    n_samples = n_hops = 0
    size = TURN_S * plain.sample_rate
    for runner in runners:
        runner.begin()
    for file in audio_files(given.audio):
        samples = read(file, plain.sample_rate, given)
        n_samples += len(samples)
        n_hops += max(0, (len(samples) - plain.window_samples) // plain.hop_samples + 1)
        for turn, at in enumerate(range(0, len(samples), size)):
            # In rotating order: the first one pays for bringing a block into the cache.
            for index in range(len(runners)):
                runner = runners[(first + turn + index) % len(runners)]
                runner.process(samples[at : at + size], file.name, turn)
        for runner in runners:
            runner.end(file.name)
    return n_samples, n_hops


def run_alone(spotter: KeywordSpotter, given: argparse.Namespace) -> None:
    """Run one spotter, for valgrind to count; without the flush at the end of a file."""
    audio = [read(file, spotter.sample_rate, given) for file in audio_files(given.audio)]
    for _ in range(given.rounds):
        for samples in audio:
            spotter.reset()
            for at in range(0, len(samples), spotter.hop_samples):
                spotter.process(samples[at : at + spotter.hop_samples])


def instructions(gate_db: float | None) -> int:
    """Return the instructions of one round, in a process of its own, with our own arguments."""
    counts = []
    for rounds in (1, 2):
        alone = ["--rounds", str(rounds), "--alone", str(gate_db)]
        done = subprocess.run(
            [*VALGRIND, sys.executable, *sys.argv, *alone],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
        )
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode or found is None:
            raise SystemExit(f"gate.py: valgrind failed: {done.stderr[-500:]}")
        counts.append(int(found[1]))
    return counts[1] - counts[0]


def compare(plain: Runner, gated: Runner, n_hops: int) -> dict[str, Any]:
    """Return what one level saves and changes.

    A detection is kept if the same keyword fires at most `KEPT_S` away: with a speech context, a
    closed gate changes the past of a word, and so its score.
    """
    missing, left = [], sorted(gated.detected, key=str)
    apart_s = 0.0
    for found in sorted(plain.detected, key=str):
        near = [other for other in left if distance_s(found, other) <= KEPT_S]
        if near:
            closest = min(near, key=lambda other: distance_s(found, other))
            apart_s = max(apart_s, distance_s(found, closest))
            left.remove(closest)
        else:
            missing.append(as_text(*found))
    return {
        "gated_hops": round(gated.gated_hops / n_hops, 4),
        "cpu_ratio": round(gated.cpu_s / plain.cpu_s, 3),
        "detections": len(gated.detected),
        "missing": missing,
        "other": [as_text(*found) for found in left],
        "apart_s": round(apart_s, 3),
        "equal": set(gated.detected) == set(plain.detected),
    }


def distance_s(one: tuple[str, Detection], other: tuple[str, Detection]) -> float:
    """Return how far two detections of a keyword in a file lie apart; infinity for any others."""
    if (one[0], one[1].keyword) != (other[0], other[1].keyword):
        return float("inf")
    return abs(one[1].time_s - other[1].time_s)


def as_text(file: str, found: Detection) -> str:
    """Return a detection in one line."""
    return f"{file} {found.time_s:.3f} {found.keyword} {found.score:.4f}"


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return the report."""
    runners = [Runner(spotter(given, gate_db)) for gate_db in (None, *given.gate_db)]
    for first in range(given.rounds):
        n_samples, n_hops = run_round(runners, given, first)
    plain = runners[0]
    audio_s = n_samples / plain.spotter.sample_rate
    gates = [
        {"gate_db": gate_db, **compare(plain, runner, n_hops)}
        for gate_db, runner in zip(given.gate_db, runners[1:])
    ]
    if given.instructions:
        without = instructions(None)
        for gate in gates:
            gate["instruction_ratio"] = round(instructions(gate["gate_db"]) / without, 4)
    return {
        "audio_s": round(audio_s, 1),
        "hops": n_hops,
        "detections": len(plain.detected),
        "cpu_s_per_audio_s": round(plain.cpu_s / audio_s, 6),
        "gates": gates,
    }


def spotter(given: argparse.Namespace, gate_db: float | None) -> KeywordSpotter:
    """Return a spotter with the model that was asked for."""
    return KeywordSpotter.from_model(
        given.model,
        mode=given.mode,
        runtime=given.runtime,
        kernels=given.kernels,
        gate_db=gate_db,
    )


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    print(
        f"{report['audio_s']} s, {report['hops']} hops, {report['detections']} detections and "
        f"{report['cpu_s_per_audio_s']} CPU s per audio s without a gate"
    )
    print("gate dB  passed over   CPU  instructions  detections")
    for row in report["gates"]:
        missing, other = row["missing"], row["other"]
        changed = f"{len(missing)} missing, {len(other)} other, the rest " * bool(missing or other)
        changed += "the same" if row["equal"] else f"within {row['apart_s']:.1f} s"
        counted = f"{row['instruction_ratio']:.3f}" if "instruction_ratio" in row else "-"
        print(
            f"{row['gate_db']:7.0f} {row['gated_hops']:12.1%} {row['cpu_ratio']:5.2f} "
            f"{counted:>13}  {changed}"
        )
        for sign, lines in (("-", missing), ("+", other)):
            for line in lines:
                print(f"    {sign} {line}")


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", nargs="+", type=Path, metavar="FILE|DIR")
    parser.add_argument("--model", default="default")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--runtime")
    parser.add_argument("--kernels", default="default")
    parser.add_argument("--gate-db", type=float, nargs="+", default=[-60.0, -50.0, -40.0])
    parser.add_argument("--floor-db", type=float, help="level of noise to add (default: none)")
    parser.add_argument("--seconds", type=float, help="of each file (default: all)")
    parser.add_argument("--rounds", type=int, default=1, help="how often (default: 1)")
    parser.add_argument("--instructions", action="store_true", help="count them too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.alone is not None:
            run_alone(spotter(given, None if given.alone == "None" else float(given.alone)), given)
            return 0
        report = measure(given)
    except KwsError as error:
        print(f"gate.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report)) if given.json else show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
