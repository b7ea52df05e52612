"""Latency and CPU of the models of a report: from `kws-bench --json`, or measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kws.bench import run as bench_measure
from kws.bench import timing as benchmark
from kws.bench.run import Plan
from kws.errors import ConfigError
from training.report.models import Subject

# As `kws-bench` does without options.
SECONDS, N_ROUNDS = 60.0, 5
KEPT = (
    "mode",
    "runtime",
    "runtime_version",
    "kernels",
    "threads",
    "hop_ms",
    "hop_us",
    "invoke_us",
    "cpu_s_per_audio_s",
    "rss_mb",
    "rss_over_floor_mb",
    "cold_start_s",
)
OF_RUN = ("paced", "date", "command", "doubts", "audio", "hops")
OF_MACHINE = ("cpu", "board", "architecture", "usable_cores", "governor", "virtual", "system")


def read_benches(paths: Sequence[Path], subjects: Sequence[Subject]) -> list[list[dict[str, Any]]]:
    """Return the measurements of each subject; which are whose, the files' SHA-256 tells.

    Raises
    ------
    ConfigError
        If a file is no measurement of `kws-bench`, or of none of the models.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in subjects]
    for path in paths:
        report = _read(path)
        taken = 0
        for side in _sides(report, path):
            for rows, subject in zip(found, subjects):
                if any(form.sha256.startswith(side["sha256"]) for form in subject.forms.values()):
                    rows.append(_row(side, report, path.name))
                    taken += 1
        if not taken:
            names = ", ".join(f"{side['model']} {side['sha256']}" for side in _sides(report, path))
            raise ConfigError(
                f"--bench {path}: expected a measurement of one of the models of this report, "
                f"got {names}; measure anew with kws-bench --model MODEL --json"
            )
    return found


def run_bench(
    subject: Subject, *, say: Any, seconds: float = SECONDS, n_rounds: int = N_ROUNDS
) -> dict[str, Any]:
    """Return what the model costs here and now, on the demo recording, as `kws-bench` does."""
    options = {
        "name_or_path": subject.asked,
        "mode": "auto",
        "runtime": subject.runtime,
        "kernels": subject.kernels,
        "n_threads": 1,
    }
    measured = bench_measure.measure(options, Plan(benchmark.DEMO, seconds, n_rounds), progress=say)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {"date": now, **measured.report}
    return _row(report, report, "measured for this report")


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--bench {path}: expected what kws-bench --json wrote, {error}"
        ) from error
    sides = ("a", "b") if isinstance(report, dict) and "ratios" in report else ()
    whole = isinstance(report, dict) and isinstance(report.get("machine"), dict)
    if not whole or not all(isinstance(report.get(side), dict) for side in sides):
        raise ConfigError(f"--bench {path}: expected what kws-bench --json wrote, got other JSON")
    return report


def _sides(report: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return what was measured: one model, or the two of a comparison."""
    sides = [report["a"], report["b"]] if "ratios" in report else [dict(report)]
    missing = sorted({"model", "sha256", *KEPT} - set.intersection(*map(set, sides)))
    if missing:
        raise ConfigError(
            f"--bench {path}: expected what this kws-bench writes, without {', '.join(missing)}"
        )
    return sides


def _row(side: Mapping[str, Any], report: Mapping[str, Any], source: str) -> dict[str, Any]:
    machine = report["machine"]
    return {
        "source": source,
        **{name: side[name] for name in KEPT},
        **{name: side.get(name, report.get(name)) for name in OF_RUN},
        "machine": {name: machine.get(name) for name in OF_MACHINE},
    }
