"""A group of sinks: one protocol for every output."""

from __future__ import annotations

import pytest

from kws import Sink
from kws.live.sinks import SinkGroup


class Closing(Sink):
    """Notes its name when it is closed, and may raise."""

    def __init__(self, name: str, closed: list[str], error: Exception | None = None) -> None:
        self._name, self._closed, self._error = name, closed, error

    def close(self, timeout_s: float) -> None:
        assert 0 <= timeout_s <= 1
        self._closed.append(self._name)
        if self._error is not None:
            raise self._error


def test_a_sink_that_fails_to_close_does_not_keep_the_others_open():
    """
    All are closed, in order, and the error is raised after that.
    """
    closed: list[str] = []
    broken = Closing("b", closed, ValueError("no broker"))
    group = SinkGroup([Closing("a", closed), broken, Closing("c", closed)])

    with pytest.raises(ValueError, match="no broker"):
        group.close(1.0)

    assert closed == ["a", "b", "c"]
