"""Warnings that come thick and fast: few are told, none is forgotten."""

from __future__ import annotations

import logging

import pytest

from kws.live.rate_limited_log import PacedLog


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    return PacedLog(logging.getLogger("kws.test"), interval_s=1.0, clock=clock)


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_is_told_at_once_and_the_next_after_the_pause(log, clock, caplog):
    """
    Of those in between the latest is told, with how many more there were, and once only.
    """
    for number in range(4):
        log.warn("lost %d", number)
    at_once = messages(caplog)
    clock.now_s = 0.99
    log.tend()
    too_soon = messages(caplog)
    clock.now_s = 1.0
    log.tend()
    log.tend()
    clock.now_s = 9.0
    log.tend()

    assert at_once == too_soon == ["lost 0"]
    assert messages(caplog) == ["lost 0", "lost 3 (and 2 more like this)"]


def test_seldom_ones_are_told_as_they_come(log, clock, caplog):
    """
    A pause or more apart, each is told by itself.
    """
    for number in range(3):
        log.warn("lost %d", number)
        clock.now_s += 1.0

    assert messages(caplog) == ["lost 0", "lost 1", "lost 2"]


def test_one_kind_does_not_hide_another(log, caplog):
    """
    The pause is of one kind of message: another kind is told at once.
    """
    log.warn("lost %d", 1)
    log.warn("late %d", 2)

    assert messages(caplog) == ["lost 1", "late 2"]


def test_flush_tells_the_rest_and_the_pause_goes_on(log, clock, caplog):
    """
    At the end nothing is held back; after it the log may be used again.
    """
    log.warn("lost %d", 0)
    log.warn("lost %d", 1)
    log.flush()
    log.warn("lost %d", 2)
    flushed = messages(caplog)
    clock.now_s = 1.0
    log.tend()

    assert flushed == ["lost 0", "lost 1"]
    assert messages(caplog) == ["lost 0", "lost 1", "lost 2"]
