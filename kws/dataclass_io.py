"""Tables of JSON as dataclasses: every key known, every value of its type, or one clear error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from kws.errors import ConfigError

PLAIN_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, float]": (dict,),
}
T = TypeVar("T")


def strings(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of text; empty where there is none."""
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{name}: expected a list of str, got {value!r}")
    return tuple(value)


def section(kind: type[T], table: Mapping[str, Any], name: str) -> T:
    """Return the dataclass of a table inside another."""
    part = table.get(name)
    if not isinstance(part, dict):
        raise ConfigError(f"expected a table {name!r}, got {part!r}")
    return build(kind, part, name)


def build(kind: type[T], values: Mapping[str, Any], name: str) -> T:
    """Return a dataclass, naming missing and unknown keys and values of the wrong type."""
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    required = {
        key
        for key, item in fields.items()
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(values)):
        raise ConfigError(f"{name}: missing {', '.join(missing)}")
    if unknown := sorted(set(values) - set(fields)):
        raise ConfigError(f"{name}: unknown key {', '.join(unknown)}")
    for key, value in values.items():
        expected = PLAIN_TYPES.get(str(fields[key].type))
        if expected and (not isinstance(value, expected) or isinstance(value, bool)):
            raise ConfigError(f"{name}.{key}: expected {fields[key].type}, got {value!r}")
    return kind(**values)
