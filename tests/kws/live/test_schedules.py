"""Live listening under seeded schedules of trouble; `fuzz.fuzz_schedules` runs many more."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from fuzz import fuzz_schedules
from fuzz.schedules import draw

from kws.audio.conditioning import Conditioner
from kws.audio.reconnect import Connection
from kws.live.listener import Listener

N_SCHEDULES = 200


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep thousands of warnings that belong to the schedules out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_schedule_breaks_a_promise():
    """
    Whatever a device, a machine and a caller do: no hang, no other error than those promised, all
    samples accounted for, time as it went by, devices closed, no thread left.
    """
    tally = fuzz_schedules.run(1, N_SCHEDULES, keep_going=False)

    assert tally.counts["schedules"] == N_SCHEDULES
    # It was about something.
    assert tally.counts["losses"] > N_SCHEDULES / 2
    assert tally.counts["detections"] > N_SCHEDULES
    assert tally.counts["overflows"] > 10
    assert tally.counts["calls left behind"] > 5
    assert {"listened", "ended: DeviceError", "ended: KeyboardInterrupt"} <= set(tally.outcomes)


def test_a_seed_is_always_the_same_schedule():
    """
    What is found once is found again.
    """
    assert draw(4_711).steps == draw(4_711).steps != draw(4_712).steps


def no_close(connection: Connection) -> None:
    connection.closed = True


def no_gap(connection: Connection) -> float:
    return 0.0


def no_rest(conditioner: Conditioner) -> object:
    return np.zeros(0, dtype=np.int16)


def no_report(listener: Listener) -> None:
    if listener._report._dropped:
        listener._tell("overload", "all the time")


def no_detection(listener: Listener, samples: np.ndarray, clipped: int) -> list[object]:
    if len(samples):
        listener.on_samples(samples)
    listener.spotter.process(0 * samples)
    return []


@pytest.mark.parametrize(
    ("broken", "name", "instead", "promise"),
    [
        (Connection, "close", no_close, "all devices closed"),
        (Connection, "leave_gap_s", no_gap, "audio time within"),
        (Conditioner, "finish", no_rest, "no more held back"),
        (Listener, "_tick", no_report, "a second between"),
        (Listener, "_hear", no_detection, "detections"),
    ],
)
def test_a_broken_promise_is_seen(monkeypatch, broken, name, instead, promise):
    """
    Each of the checks can fail.
    """
    monkeypatch.setattr(broken, name, instead)
    with pytest.raises(AssertionError, match=promise):
        fuzz_schedules.run(1, 60, keep_going=False)
