"""Published figures of other models, each with its source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kws.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("published.toml")
FORMS = ("float", "int8")
KEYS = frozenset(
    {"name", "accuracy", "macs_m", "parameters_k", "size_kb", "set", "form", "source", "drawn"}
)


def points(path: Path = PATH) -> list[dict[str, Any]]:
    """Return the published points.

    Returns
    -------
    points : list of dict
        ``name``, ``accuracy`` (0 to 1), ``macs``, ``parameters`` and ``bytes`` (None if not
        published), ``set`` (which test), ``form`` (float or int8), ``source``, ``drawn``.

    Raises
    ------
    ConfigError
        If a point has no source, an unknown key, or an invalid accuracy.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return [_point(row, table["sources"], f"{path.name}: {row}") for row in table["point"]]


def _point(row: dict[str, Any], sources: dict[str, str], where: str) -> dict[str, Any]:
    if unknown := sorted(set(row) - KEYS):
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}")
    if row.get("source") not in sources:
        raise ConfigError(f"{where}: expected a source among {', '.join(sources)}")
    if not 50 < row["accuracy"] <= 100 or row["form"] not in FORMS:
        raise ConfigError(f"{where}: expected an accuracy in % and a form of {FORMS}")
    return {
        "name": row["name"],
        "accuracy": round(row["accuracy"] / 100, 6),
        "macs": _times(row, "macs_m", 1e6),
        "parameters": _times(row, "parameters_k", 1e3),
        "bytes": _times(row, "size_kb", 1e3),
        "set": row["set"],
        "form": row["form"],
        "source": sources[row["source"]],
        "drawn": row.get("drawn", True),
    }


def _times(row: dict[str, Any], name: str, unit: float) -> int | None:
    return None if row.get(name) is None else round(row[name] * unit)
