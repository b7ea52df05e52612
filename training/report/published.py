"""Published figures of other models, each with its source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("published.toml")


def points() -> list[dict[str, Any]]:
    """Return the published points.

    Returns
    -------
    points : list of dict
        ``name``, ``accuracy`` (0 to 1), ``macs``, ``parameters`` and ``bytes`` (None if not
        published), ``set`` (which test), ``form`` (float or int8), ``source``, ``drawn``.
    """
    table = tomllib.loads(PATH.read_text(encoding="utf-8"))
    return [
        {
            "name": row["name"],
            "accuracy": round(row["accuracy"] / 100, 6),
            "macs": _times(row, "macs_m", 1e6),
            "parameters": _times(row, "parameters_k", 1e3),
            "bytes": _times(row, "size_kb", 1e3),
            "set": row["set"],
            "form": row["form"],
            "source": table["sources"][row["source"]],
            "drawn": row.get("drawn", True),
        }
        for row in table["point"]
    ]


def _times(row: dict[str, Any], name: str, unit: float) -> int | None:
    return None if row.get(name) is None else round(row[name] * unit)
