"""A queue of callbacks on a clock of the test's own, and callbacks that block it."""

from __future__ import annotations

import threading

import pytest
from support.held_calls import Gate

from kws.live.callbacks import CallbackQueue


@pytest.fixture
def callbacks(clock):
    made = CallbackQueue(clock=clock)
    yield made
    made.close(timeout_s=60)
    # None may outlive the callback that kept it.
    assert [thread for thread in threading.enumerate() if thread.name == "kws-callbacks"] == []


@pytest.fixture
def gates(callbacks):
    """Make callbacks that block; all are let go at the end."""
    made = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    yield make
    for gate in made:
        gate.let_go()
