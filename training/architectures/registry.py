"""Architectures by name: each module here registers one builder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kws.errors import ConfigError

Builder = Callable[..., Any]
_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Return a decorator that registers a builder under `name`.

    A builder takes ``(input_shape, n_labels, **params)`` and returns an uncompiled Keras model
    from normalised features ``(batch, *input_shape)`` to softmax ``(batch, n_labels)``.
    """

    def decorate(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return decorate


def names() -> list[str]:
    """Return the registered architecture names, sorted."""
    return sorted(_BUILDERS)


def all_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of the architecture `name`: `params`, and defaults for the others.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    taken = inspect.signature(_builder(name)).parameters.values()
    defaults = {one.name: one.default for one in taken if one.default is not one.empty}
    return {**defaults, **params}


def _builder(name: str) -> Builder:
    if name not in _BUILDERS:
        raise ConfigError(f"model.name: expected one of {', '.join(names())}, got {name!r}")
    return _BUILDERS[name]


def build(
    name: str, *, input_shape: tuple[int, ...], n_labels: int, params: Mapping[str, Any]
) -> Any:
    """Return a new model of the architecture `name`.

    Raises
    ------
    ConfigError
        If the name is unknown, or the parameters do not fit the architecture.
    """
    builder = _builder(name)
    try:
        return builder(input_shape, n_labels, **params)
    except TypeError as error:
        raise ConfigError(f"model.params of {name}: {error}") from error
