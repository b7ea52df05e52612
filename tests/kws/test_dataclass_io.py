"""Mappings become dataclasses, or one error that names file, key, expected and got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from kws.dataclass_io import from_mapping
from kws.errors import ConfigError


@dataclass(frozen=True)
class Part:
    n: int = 1
    ratio: float = 0.5
    on: bool = False
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ConfigError(f"n must not be negative, got {self.n}")


@dataclass(frozen=True)
class Whole:
    name: str
    part: Part = field(default_factory=Part)
    other: Part | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def read(table: object) -> Whole:
    sections: dict[str, type] = {"part": Part, "other": Part}
    renamed = {"old": "part", "part.count": "part.n"}
    return from_mapping(Whole, table, where="a.toml", sections=sections, renamed=renamed)


def test_values_and_sections_become_dataclasses():
    """
    Lists become tuples, whole numbers may be floats, a section may be null where it may lack.
    """
    table = {"name": "a", "part": {"ratio": 1, "on": True, "words": ["x"]}, "other": None}

    assert read(table) == Whole("a", Part(ratio=1, on=True, words=("x",)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (3, "a.toml: expected a table, got 3"),
        ({}, "a.toml: missing name"),
        ({"name": "a", "b": 1}, "a.toml: unknown key b; expected some of name, part, other, extra"),
        ({"name": "a", "part": {"m": 1}}, "a.toml: unknown key part.m; expected some of n, ratio"),
        ({"name": "a", "part": 3}, "a.toml: part: expected a table, got 3"),
        ({"name": "a", "part": {"n": 1.5}}, "a.toml: part.n: expected int, got 1.5"),
        ({"name": "a", "part": {"n": True}}, "a.toml: part.n: expected int, got True"),
        ({"name": "a", "part": {"on": 1}}, "a.toml: part.on: expected bool, got 1"),
        ({"name": "a", "part": {"words": "x"}}, "a.toml: part.words: expected a list of str, got"),
        ({"name": "a", "part": {"n": -1}}, "a.toml: part: n must not be negative, got -1"),
        ({"name": "a", "old": {}}, "a.toml: old: renamed to part"),
        ({"name": "a", "part": {"count": 3}}, "a.toml: part.count: renamed to part.n"),
    ],
)
def test_nonsense_is_one_error(table, message):
    """
    The message names the file, the key, what was expected and what was found.
    """
    with pytest.raises(ConfigError) as caught:
        read(table)
    assert str(caught.value).startswith(message)
