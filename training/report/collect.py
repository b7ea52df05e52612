"""All figures of a report as plain JSON values, and what made them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from kws import __version__
from kws.bench import host as machine
from training.report import bench, published
from training.report.clips import ClipPlan, measure_clips
from training.report.models import Subject, facts
from training.report.streams import StreamFolder, measure_streams

Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]
LIBRARIES = ("numpy", "scikit-learn", "matplotlib", "scipy", "soundfile", "soxr")


@dataclass(frozen=True)
class ReportPlan:
    """What a report measures; what it leaves out stands in it as not measured."""

    clips: ClipPlan | None = None
    streams: tuple[StreamFolder, ...] = ()
    benches: tuple[Path, ...] = ()
    run_bench: bool = False


def collect(
    subjects: Sequence[Subject], plan: ReportPlan, *, command: str, progress: Progress
) -> dict[str, Any]:
    """Return the report.

    Parameters
    ----------
    subjects : sequence of Subject
        At least one.
    plan : ReportPlan
        What to measure.
    command : str
        What was typed, for the provenance.
    progress : callable
        Given what comes next, returns what wraps the iteration over it.

    Returns
    -------
    report : dict
        ``models`` (each with ``clips``, ``reliability``, ``noise``, ``streams``, ``bench``;
        None or empty where nothing was measured), ``published``, and what made it all.
    """
    benches = bench.read_benches(plan.benches, subjects)
    rows = []
    for subject, measured in zip(subjects, benches):
        row = {**facts(subject), "clips": None, "reliability": None, "noise": []}
        if plan.clips is not None:
            row.update(measure_clips(subject, plan.clips, progress=progress))
        row["streams"] = (
            measure_streams(subject, plan.streams, progress=progress) if plan.streams else None
        )
        row["bench"] = list(measured)
        rows.append(row)
    if plan.run_bench:
        # After everything else, so that nothing of ours is still at work.
        for index in progress("latency")(range(len(subjects))):
            rows[index]["bench"].append(bench.run_bench(subjects[index], say=lambda text: None))
    return {
        "kws": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "data": _data(plan),
        "machine": machine.describe(),
        "versions": _versions(),
        "models": rows,
        "published": published.points(),
    }


def _data(plan: ReportPlan) -> dict[str, Any]:
    clips = plan.clips
    return {
        "clips": str(clips.data) if clips else None,
        "split": clips.split if clips else None,
        "seed": clips.seed if clips else None,
        "noise": list(clips.noise.sources) if clips else [],
        "streams": [
            {"folder": str(item.path), "misses": item.misses, "accepts": item.accepts}
            for item in plan.streams
        ],
        "bench": [str(path) for path in plan.benches],
    }


def _versions() -> dict[str, str]:
    found = {"kws": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
