"""Compare every hop of a recording through `kws-listen` on this machine and on ARM.

With the reference kernels every int8 posterior must be equal. If one is not, the hops run again on
ARM with this machine's log-mel frames: if they are equal then, the front end differs, else the
model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machines import ARM, RUNTIMES, RunError, Side, emulated, here

KERNELS = ("reference", "default")


@dataclass(frozen=True)
class Case:
    """One thing to compare."""

    runtime: str
    mode: str
    kernels: str


def cases(runtimes: list[str], modes: list[str], kernel_sets: list[str]) -> Iterator[Case]:
    """Yield all combinations, in the order of the table."""
    for mode in modes:
        for kernels in kernel_sets:
            for runtime in runtimes:
                yield Case(runtime, mode, kernels)


def dump(side: Side, case: Case, *, model: str, audio: Path, replay: Path | None = None) -> Path:
    """Run the case on one machine and return the file with its hops."""
    path = dump_path(side.cache, side.architecture, case, replayed=replay is not None)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    replayed = ["--replay", str(replay)] if replay else []
    listen = ["--input", str(audio), "--model", model, "--mode", case.mode]
    listen += ["--kernels", case.kernels, "--runtime", case.runtime]
    side.run("dump_hops.py", "--out", str(path), *replayed, "--", *listen)
    return path


def dump_path(cache: Path, architecture: str, case: Case, *, replayed: bool = False) -> Path:
    """Return the file of a dump."""
    name = f"{architecture}-{case.runtime}-{case.mode}-{case.kernels}"
    return cache / "hops" / f"{name}{'-replayed' if replayed else ''}.npz"


def compare(case: Case, *, cache: Path, cpu: str, model: str, audio: Path) -> dict[str, Any]:
    """Return the row of one case; with an ``error`` and no figures if it cannot run."""
    row: dict[str, Any] = {"runtime": case.runtime, "mode": case.mode, "kernels": case.kernels}
    try:
        ours = dump(here(cache, case.runtime), case, model=model, audio=audio)
        arm = emulated(cache, case.runtime, cpu)
        theirs = dump(arm, case, model=model, audio=audio)
        row.update(differences(ours, theirs))
        if row["posteriors_differing"] and row["features_differing"]:
            replayed = dump(arm, case, model=model, audio=audio, replay=ours)
            again = differences(ours, replayed)
            row["posteriors_differing_same_frames"] = again["posteriors_differing"]
            row["largest_lsb_same_frames"] = again["largest_lsb"]
    except RunError as error:
        row["error"] = str(error)
    row["ok"] = is_as_promised(row)
    return row


def differences(ours: Path, theirs: Path) -> dict[str, Any]:
    """Return how two dumps differ: frames, features, posteriors, detections."""
    a, b = np.load(ours), np.load(theirs)
    for name in ("frames", "features", "outputs"):
        if a[name].shape != b[name].shape:
            shapes = f"{a[name].shape} and {b[name].shape}"
            raise RunError(f"{name}: the two machines give different shapes, {shapes}")
    frames, features, outputs = (
        np.abs(a[name].astype(np.float64) - b[name]) for name in ("frames", "features", "outputs")
    )
    integers = a["outputs"].dtype.kind == "i"
    return {
        "hops": len(outputs),
        "log_mel": frames.size,
        "log_mel_differing": int(np.count_nonzero(frames)),
        "log_mel_largest": float(frames.max()),
        "features": features.size,
        "features_differing": int(np.count_nonzero(features)),
        "posteriors": outputs.size,
        "posteriors_differing": int(np.count_nonzero(outputs)),
        "hops_differing": int(np.count_nonzero(outputs.any(axis=1))),
        "largest_lsb": int(outputs.max()) if integers else None,
        "largest_posterior": float(np.abs(a["posteriors"] - b["posteriors"]).max()),
        "n_detections": len(_detections(a)),
        "detections_equal": _detections(a) == _detections(b),
        "words_apart_s": _apart_s(_words(a), _words(b)),
        "here": json.loads(str(a["about"])),
        "arm": json.loads(str(b["about"])),
    }


def is_as_promised(row: dict[str, Any]) -> bool:
    """Return whether the row is as promised.

    With reference kernels an int8 model is equal in everything. Default kernels may round
    differently on another machine, so a score near its threshold may reach it a hop earlier or
    later: the words are equal, their times within a hop.
    """
    if "error" in row:
        return False
    if row["kernels"] == "reference" and row["largest_lsb"] is not None:
        return not row["posteriors_differing"] and bool(row["detections_equal"])
    apart_s = row["words_apart_s"]
    # Times are multiples of a hop; half a hop allows for rounding.
    return apart_s is not None and apart_s < 1.5 * row["here"]["hop_ms"] / 1000


def pairs_on_arm(cache: Path, runtimes: list[str], modes: list[str]) -> list[dict[str, Any]]:
    """Return how posteriors differ on ARM itself: by interpreter, by form, by kernels.

    Only of cases that this run dumped into the cache.
    """
    pairs = [(Case(RUNTIMES[0], m, "reference"), Case(RUNTIMES[1], m, "reference")) for m in modes]
    for kernels in KERNELS:
        pairs += [(Case(r, "window", kernels), Case(r, "stream", kernels)) for r in runtimes]
    pairs += [(Case(r, m, "reference"), Case(r, m, "default")) for m in modes for r in runtimes]
    rows = []
    for pair in pairs:
        dumps = [dump_path(cache, ARM, case) for case in pair]
        if not all(path.exists() for path in dumps):
            continue
        a, b = (np.load(path)["outputs"] for path in dumps)
        apart = np.abs(a.astype(np.float64) - b)
        rows.append(
            {
                "pair": [dataclasses.asdict(case) for case in pair],
                "hops": len(a),
                "posteriors": a.size,
                "posteriors_differing": int(np.count_nonzero(apart)),
                "largest": float(apart.max()),
                "hops_other_label": int(np.count_nonzero(a.argmax(axis=1) != b.argmax(axis=1))),
            }
        )
    return rows


def _lines(dumped: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in str(dumped["listened"]).splitlines()]


def _detections(dumped: Any) -> list[dict[str, Any]]:
    return [line for line in _lines(dumped) if line["type"] == "detection"]


def _words(dumped: Any) -> list[tuple[str, float]]:
    return [(line["keyword"], line["time_s"]) for line in _detections(dumped)]


def _apart_s(ours: list[tuple[str, float]], theirs: list[tuple[str, float]]) -> float | None:
    """Return the largest time difference of the same words; None if the words differ."""
    if [word for word, _ in ours] != [word for word, _ in theirs]:
        return None
    return max((abs(a - b) for (_, a), (_, b) in zip(ours, theirs)), default=0.0)
