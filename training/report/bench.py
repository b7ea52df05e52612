"""Latency and CPU of the models of a report, from `kws-bench --json` or measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kws.bench.run import Plan, measure
from kws.bench.timing import DEMO
from kws.errors import ConfigError
from training.report.models import ReportModel

# The defaults of `kws-bench`.
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
    "cold_start_s",
)
OF_RUN = ("paced", "date", "command", "warnings", "audio", "hops")
OF_MACHINE = ("cpu", "board", "architecture", "usable_cores", "governor", "virtual", "system")


def read_benches(
    paths: Sequence[Path], models: Sequence[ReportModel]
) -> list[list[dict[str, Any]]]:
    """Return the measurements of each model, matched by the SHA-256 of the model file.

    Raises
    ------
    ConfigError
        If a file is not from `kws-bench`, or measures none of the models.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in models]
    for path in paths:
        report = _read(path)
        taken = 0
        for side in _sides(report, path):
            for rows, model in zip(found, models):
                if any(form.sha256.startswith(side["sha256"]) for form in model.forms.values()):
                    rows.append(_row(side, report, path.name))
                    taken += 1
        if not taken:
            names = ", ".join(f"{side['model']} {side['sha256']}" for side in _sides(report, path))
            raise ConfigError(
                f"--bench {path}: expected a measurement of one of the models of this report, "
                f"got {names}; measure again with kws-bench --model MODEL --json"
            )
    return found


def run_bench(model: ReportModel) -> dict[str, Any]:
    """Measure a model on the demo recording, as `kws-bench` does."""
    options = {
        "name_or_path": model.asked,
        "mode": "auto",
        "runtime": model.runtime,
        "kernels": model.kernels,
        "n_threads": 1,
    }
    measured = measure([options], Plan(DEMO, SECONDS, N_ROUNDS), progress=lambda text: None)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {"date": now, **measured}
    return _row(report, report, "measured for this report")


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--bench {path}: expected the output of kws-bench --json, {error}"
        ) from error
    sides = ("a", "b") if isinstance(report, dict) and "ratios" in report else ()
    whole = isinstance(report, dict) and isinstance(report.get("machine"), dict)
    if not whole or not all(isinstance(report.get(side), dict) for side in sides):
        raise ConfigError(
            f"--bench {path}: expected the output of kws-bench --json, got other JSON"
        )
    return report


def _sides(report: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the measurements in a file: one model, or the two of a comparison."""
    sides = [report["a"], report["b"]] if "ratios" in report else [dict(report)]
    missing = sorted({"model", "sha256", *KEPT} - set.intersection(*map(set, sides)))
    missing += sorted(set(OF_RUN) - {"date", "command"} - set(report))
    if missing:
        raise ConfigError(
            f"--bench {path}: expected the output of this version of kws-bench; "
            f"{', '.join(missing)} missing"
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
