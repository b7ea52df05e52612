"""Mappings from JSON and TOML files as checked dataclasses, or one clear error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeVar

from kws.errors import ConfigError

# By annotation, as `dataclasses.fields` gives it under `from __future__ import annotations`.
PLAIN_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, float]": (dict,),
}
T = TypeVar("T")


def check_range(
    name: str, value: Any, low: float, high: float = math.inf, *, above: bool = False
) -> None:
    """Raise `ConfigError` unless the value is a finite number of `low` to `high`.

    With `above`, `low` itself is refused too.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and low <= value <= high and (value > low or not above):
        return
    if above:
        expected = f"above {low:g}" + (f" and up to {high:g}" if high < math.inf else "")
    else:
        expected = f"{low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
    got = f"{value:g}" if isinstance(value, float) else value
    raise ConfigError(f"{name}: expected {expected}, got {got}")


def from_mapping(
    kind: type[T],
    table: Any,
    *,
    where: str,
    sections: Mapping[str, type] | None = None,
    renamed: Mapping[str, str] | None = None,
    name: str = "",
) -> T:
    """Return a dataclass with the values of a mapping, checking keys and types.

    Parameters
    ----------
    kind : type
        A dataclass. Lists become tuples where it has tuples.
    table : mapping
        Anything else is an error.
    where : str
        The file; every message begins with it.
    sections : mapping of str to type, optional
        Keys whose value is a mapping for another dataclass.
    renamed : mapping of str to str, optional
        Old keys and their new names; a key of a section is written ``section.key``.
    name : str
        Of the section itself, for messages.

    Raises
    ------
    ConfigError
        If a key is missing, unknown or renamed, or a value has the wrong type or is refused by
        the dataclass.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {name and f'{name}: '}expected a table, got {table!r}")
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    dot = f"{name}." if name else ""
    _check_keys(table, fields, f"{where}: ", dot, renamed or {})
    values = {}
    for key, value in table.items():
        section = (sections or {}).get(key)
        if section is None:
            values[key] = _plain(value, str(fields[key].type), f"{where}: {dot}{key}")
        elif value is None and fields[key].default is None:
            values[key] = None
        else:
            values[key] = from_mapping(
                section, value, where=where, renamed=renamed, name=f"{dot}{key}"
            )
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        named = not name or str(error).startswith(dot)
        raise ConfigError(f"{where}: {'' if named else f'{name}: '}{error}") from error


def _check_keys(
    table: Mapping[str, Any],
    fields: Mapping[str, dataclasses.Field[Any]],
    where: str,
    dot: str,
    renamed: Mapping[str, str],
) -> None:
    unknown = sorted(set(table) - set(fields))
    for key in unknown:
        if f"{dot}{key}" in renamed:
            raise ConfigError(f"{where}{dot}{key}: renamed to {renamed[f'{dot}{key}']}")
    if unknown:
        raise ConfigError(
            f"{where}unknown key {', '.join(f'{dot}{key}' for key in unknown)}; "
            f"expected some of {', '.join(fields)}"
        )
    missing = [
        f"{dot}{key}"
        for key, item in fields.items()
        if key not in table
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}missing {', '.join(missing)}")


def _plain(value: Any, annotation: str, where: str) -> Any:
    """Return a value that is no section, a list as a tuple, after checking its type."""
    if annotation.startswith("tuple["):
        is_list = isinstance(value, (list, tuple))
        if annotation == "tuple[str, ...]" and not (
            is_list and all(isinstance(item, str) for item in value)
        ):
            raise ConfigError(f"{where}: expected a list of str, got {value!r}")
        if not is_list:
            raise ConfigError(f"{where}: expected {annotation}, got {value!r}")
        return tuple(value)
    expected = PLAIN_TYPES.get(annotation)
    if expected and (
        not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)
    ):
        raise ConfigError(f"{where}: expected {annotation}, got {value!r}")
    return value
