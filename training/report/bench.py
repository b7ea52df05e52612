"""Latency and CPU of the models of a report, from `kws-bench --json` or measured here."""

from __future__ import annotations

import itertools
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
        measured = _read(path)
        taken = 0
        for (sha256, row), (rows, model) in itertools.product(measured, zip(found, models)):
            if any(form.sha256.startswith(sha256) for form in model.forms.values()):
                rows.append(row)
                taken += 1
        if not taken:
            raise ConfigError(
                f"--bench {path}: expected a measurement of one of the models of this report, "
                f"got SHA-256 {', '.join(sha256 for sha256, _ in measured)}; measure again with "
                "kws-bench --model MODEL --json"
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
    report = {"date": now, "command": None, **measured}
    return _row(report, report, "measured for this report")


def _read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return checksum and figures of the model in a file, or of the two of a comparison."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--bench {path}: expected the output of kws-bench --json, {error}"
        ) from error
    try:
        sides = [report["a"], report["b"]] if "ratios" in report else [report]
        return [(side["sha256"], _row(side, report, path.name)) for side in sides]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--bench {path}: expected the output of this version of kws-bench --json, got other "
            f"JSON: {error}"
        ) from error


def _row(side: Mapping[str, Any], report: Mapping[str, Any], source: str) -> dict[str, Any]:
    machine = report["machine"]
    return {
        "source": source,
        **{name: side[name] for name in KEPT},
        **{name: {**report, **side}[name] for name in OF_RUN},
        "machine": {name: machine.get(name) for name in OF_MACHINE},
    }
