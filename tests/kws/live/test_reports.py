"""Rate-limited warnings: few are logged, none is forgotten."""

from __future__ import annotations

import logging

import pytest
from support.logged import messages

from kws.live.reports import RateLimitedLog


@pytest.fixture
def log(clock):
    return RateLimitedLog(logging.getLogger("kws.test"), clock=clock)


def test_the_first_is_logged_at_once_and_the_next_after_the_interval(log, clock, caplog):
    """
    Of those in between only the latest is logged, once, with the number of the others.
    """
    for number in range(4):
        log.warn("lost %d", number)
    at_once = messages(caplog)
    clock.now_s += 0.99
    log.poll()
    too_soon = messages(caplog)
    clock.now_s += 0.02
    log.poll()
    log.poll()
    clock.now_s += 9.0
    log.poll()

    assert at_once == too_soon == ["lost 0"]
    assert messages(caplog) == ["lost 0", "lost 3 (and 2 more like this)"]


def test_rare_warnings_are_logged_at_once(log, clock, caplog):
    """
    An interval or more apart, each is logged on its own.
    """
    for number in range(3):
        log.warn("lost %d", number)
        clock.now_s += 1.0

    assert messages(caplog) == ["lost 0", "lost 1", "lost 2"]


def test_one_kind_does_not_hide_another(log, caplog):
    """
    The interval is per kind of message.
    """
    log.warn("lost %d", 1)
    log.warn("late %d", 2)

    assert messages(caplog) == ["lost 1", "late 2"]


def test_flush_logs_the_rest_and_the_interval_goes_on(log, clock, caplog):
    """
    Flush holds nothing back; the log can be used afterwards.
    """
    log.warn("lost %d", 0)
    log.warn("lost %d", 1)
    log.flush()
    log.warn("lost %d", 2)
    flushed = messages(caplog)
    clock.now_s += 1.0
    log.poll()

    assert flushed == ["lost 0", "lost 1"]
    assert messages(caplog) == ["lost 0", "lost 1", "lost 2"]
