"""Instructions per hop on ARM, whole and by part, from the counter of `icount.c`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from count_hops import PARTS
from machines import RunError, emulated


@dataclass(frozen=True)
class Case:
    """One thing to count."""

    runtime: str
    cpu: str
    model: str
    mode: str


def read_marks(path: Path) -> dict[str, np.ndarray]:
    """Return the counts between each part's marks, in order, as the counter wrote them.

    Raises
    ------
    RunError
        If there is no mark, or they do not come in pairs.
    """
    counts: dict[str, list[int]] = {}
    began: dict[str, int] = {}
    for line in path.read_text().splitlines():
        mark, count = line.split()
        if mark == "total":
            continue
        part, is_end = PARTS[int(mark) // 2], int(mark) % 2
        if not is_end:
            began[part] = int(count)
        elif part in began:
            counts.setdefault(part, []).append(int(count) - began.pop(part))
        else:
            raise RunError(f"{path.name}: {part} ends without a beginning")
    if began or set(counts) != set(PARTS):
        missing = ", ".join(sorted(set(PARTS) - set(counts) | set(began)))
        raise RunError(f"{path.name}: expected marks of all parts, got none or half of {missing}")
    return {part: np.array(values) for part, values in counts.items()}


def per_hop(counts: dict[str, np.ndarray], n_hops: int) -> dict[str, int]:
    """Return the mean instructions per hop of each part, the marks' own cost taken off.

    A part that runs several times in a hop counts with all of them; one that does not run in every
    hop counts with its share.
    """
    mark = float(np.median(counts["nothing"]))
    means = {
        part: float((values - mark).sum()) / n_hops
        for part, values in counts.items()
        if part != "nothing"
    }
    parts = ("front_end", "model", "smoothing", "decision")
    return {
        "whole": round(means["whole"]),
        "whole_max": int(counts["whole"].max() - mark),
        "front_end": round(means["front_end"]),
        "model": round(means["model"]),
        "invoke": round(means["invoke"]),
        "smoothing_and_decision": round(means["smoothing"] + means["decision"]),
        "rest": round(means["whole"] - sum(means[part] for part in parts)),
    }


def count(case: Case, *, cache: Path, audio: Path, n_hops: int, repeats: int) -> dict[str, Any]:
    """Return the row of one case; one that cannot be run has an ``error`` and no figures."""
    row: dict[str, Any] = {"runtime": case.runtime, "cpu": case.cpu, "mode": case.mode}
    row["model"] = case.model
    side = emulated(cache, case.runtime, case.cpu)
    arguments = ["--hops", str(n_hops), "--input", str(audio), "--model", case.model]
    arguments += ["--mode", case.mode, "--runtime", case.runtime]
    marks = cache / "counts.txt"
    runs = []
    try:
        for _ in range(repeats):
            plugin = f"file={cache / 'icount.so'},out={marks}"
            marks.unlink(missing_ok=True)
            row["about"] = json.loads(side.run("count_hops.py", *arguments, plugin=plugin))
            runs.append(per_hop(read_marks(marks), n_hops))
    except (RunError, OSError) as error:
        row["error"] = str(error)
        return row
    row["instructions"] = runs[0]
    row["spread"] = spread(runs)
    return row


def spread(runs: list[dict[str, int]]) -> float | None:
    """Return the relative spread of the whole hop over repeated runs; None for one run."""
    if len(runs) < 2:
        return None
    whole = [run["whole"] for run in runs]
    return (max(whole) - min(whole)) / min(whole)


def stream_over_window(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ratios of instructions of those rows that have both forms."""
    counted = {
        (row["runtime"], row["cpu"], row["model"], row["mode"]): row["instructions"]
        for row in rows
        if "instructions" in row
    }
    ratios = []
    for (runtime, cpu, model, mode), stream in counted.items():
        window = counted.get((runtime, cpu, model, "window"))
        if mode == "stream" and window:
            ratios.append(
                {"runtime": runtime, "cpu": cpu, "model": model}
                | {part: stream[part] / window[part] for part in ("invoke", "whole")}
            )
    return ratios
