"""Live listening under random schedules; `fuzz.fuzz_schedules` runs many more."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from fuzz import fuzz_schedules
from fuzz.schedules import draw

from kws.audio.conditioning import Conditioner
from kws.audio.reconnect import ReconnectingMicrophone
from kws.live.listener import Listener
from kws.live.reports import LossReport

N_SCHEDULES = 200


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep thousands of expected warnings out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_schedule_breaks_a_promise():
    """
    No hang, only the documented errors, all samples accounted for, correct stream time, all devices
    closed, no thread left.
    """
    tally = fuzz_schedules.run(1, N_SCHEDULES, keep_going=False)

    assert tally.counts["schedules"] == N_SCHEDULES
    # The schedules are not trivial.
    assert tally.counts["losses"] > N_SCHEDULES / 2
    assert tally.counts["detections"] > N_SCHEDULES
    assert tally.counts["overflows"] > 10
    assert tally.counts["abandoned calls"] > 5
    assert {"listened", "ended: DeviceError", "ended: KeyboardInterrupt"} <= set(tally.outcomes)


def test_a_seed_is_always_the_same_schedule():
    """
    A failure can be reproduced by its seed.
    """
    assert draw(4_711).steps == draw(4_711).steps != draw(4_712).steps


def no_close(connection: ReconnectingMicrophone) -> None:
    connection.closed = True


def no_gap(connection: ReconnectingMicrophone) -> float:
    return 0.0


def no_rest(conditioner: Conditioner) -> object:
    return np.zeros(0, dtype=np.int16)


def no_pause(losses: LossReport, now_s: float, *, overflows: int) -> None:
    if losses._dropped:
        losses._notify("overload", "all the time")


def no_detection(listener: Listener, samples: np.ndarray, conditioner: Conditioner) -> list[object]:
    if len(samples):
        listener._sinks.samples(samples)
    listener.spotter.process(0 * samples)
    return []


@pytest.mark.parametrize(
    ("broken", "name", "instead", "promise"),
    [
        (ReconnectingMicrophone, "close", no_close, "all devices closed"),
        (ReconnectingMicrophone, "take_gap_s", no_gap, "audio time within"),
        (Conditioner, "finish", no_rest, "no more held back"),
        (LossReport, "poll", no_pause, "a second between"),
        (Listener, "_process", no_detection, "detections"),
    ],
)
def test_a_broken_promise_is_seen(monkeypatch, broken, name, instead, promise):
    """
    Each check can fail.
    """
    monkeypatch.setattr(broken, name, instead)
    with pytest.raises(AssertionError, match=promise):
        fuzz_schedules.run(1, 60, keep_going=False)
