"""Users' callbacks: off the audio path, each in order, and unable to delay or break anything."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from support.held_calls import Gate, detection
from support.logged import messages

from kws.decision.policy import Detection
from kws.live.callbacks import MAX_WAITING, Callbacks


@pytest.fixture
def callbacks(clock):
    made = Callbacks(clock=clock)
    yield made
    made.close(timeout_s=60)
    assert [thread for thread in threading.enumerate() if thread.name == "kws-callback"] == []


@pytest.fixture
def gate(callbacks):
    """A callback that blocks until the test, or its end, lets it go."""
    made = Gate()
    yield made
    made.let_go()


def test_only_the_keywords_own_callbacks_are_called(callbacks):
    """
    A keyword's callback gets only that keyword; None gets all, with the detection unchanged.
    """
    yes, everything = [], []
    callbacks.register("yes", yes.append)
    callbacks.register(None, everything.append)
    callbacks.detection(detection("yes", 1))
    callbacks.detection(detection("no", 2))
    callbacks.close(timeout_s=10)

    assert yes == [detection("yes", 1)]
    assert everything == [detection("yes", 1), detection("no", 2)]


def test_each_callback_runs_in_order_in_a_thread_of_its_own(callbacks):
    """
    All calls of a callback come from one thread, which is neither the poster's nor another's.
    """
    called, threads = [], {"one": set(), "other": set()}

    def one(found: Detection) -> None:
        called.append(found.time_s)
        threads["one"].add(threading.current_thread())

    callbacks.register("yes", one)
    callbacks.register("yes", lambda found: threads["other"].add(threading.current_thread()))
    for time_s in range(20):
        callbacks.detection(detection("yes", time_s))
    callbacks.close(timeout_s=10)

    assert called == list(range(20))
    assert [len(each) for each in threads.values()] == [1, 1]
    assert len({threading.current_thread(), *threads["one"], *threads["other"]}) == 3


@pytest.mark.parametrize("error", [RuntimeError("the lamp is broken"), SystemExit(3)])
def test_an_exception_is_logged_with_its_keyword_and_goes_no_further(callbacks, caplog, error):
    """
    Neither other callbacks nor later calls are affected, even by sys.exit.
    """
    called = []

    def fail(found: Detection) -> None:
        raise error

    callbacks.register("stop", fail)
    callbacks.register("stop", called.append)
    with caplog.at_level(logging.ERROR, logger="kws"):
        callbacks.detection(detection("stop", 1))
        callbacks.detection(detection("stop", 2))
        callbacks.close(timeout_s=10)

    assert called == [detection("stop", 1), detection("stop", 2)]
    assert messages(caplog) == ["the callback of stop raised an exception"] * 2
    assert type(error).__name__ in caplog.text


def test_a_slow_callback_delays_neither_posting_nor_other_callbacks(callbacks, gate, clock, caplog):
    """
    Up to 64 detections wait for it; further ones are dropped, counted, and logged once a second.
    """
    others = []
    noted = threading.Semaphore(0)
    callbacks.register("yes", gate)
    callbacks.register("no", lambda found: (others.append(found.time_s), noted.release()))
    callbacks.detection(detection("yes", 0))
    gate.wait_for_a_call()
    for time_s in range(1, MAX_WAITING + 4):
        callbacks.detection(detection("yes", time_s))
    callbacks.detection(detection("no", 1))
    assert noted.acquire(timeout=60)
    first = messages(caplog)
    clock.now_s += 1
    callbacks.poll()
    gate.let_go()
    callbacks.close(timeout_s=10)

    text = f"callback {gate!r} is behind by 64 detections; yes at %d.00 s was not passed on to it"
    assert others == [1]
    assert gate.heard == list(range(MAX_WAITING + 1))
    assert callbacks.dropped == 3
    assert first == [text % 65]
    assert messages(caplog)[1:] == [f"{text % 67} (and 1 more like this)"]


def test_a_method_registered_twice_is_one_callback(callbacks, gate):
    """
    Registered for two keywords, it still never runs twice at once, and keeps its order.
    """

    class Lamp:
        def switch(self, found: Detection) -> None:
            gate(found)

    lamp = Lamp()
    callbacks.register("yes", lamp.switch)
    callbacks.register("no", lamp.switch)
    callbacks.detection(detection("yes", 0))
    gate.wait_for_a_call()
    callbacks.detection(detection("no", 1))
    while_busy = list(gate.heard)
    gate.let_go()
    callbacks.close(timeout_s=10)

    assert while_busy == [0]
    assert gate.heard == [0, 1]


def test_a_callback_may_close(callbacks):
    """
    Closing from a callback does not wait for itself, and lets the others finish.
    """
    called, closed = [], threading.Event()

    def close(found: Detection) -> None:
        callbacks.close(timeout_s=60)
        closed.set()

    callbacks.register(None, called.append)
    callbacks.register("stop", close)
    callbacks.detection(detection("stop", 0))

    assert closed.wait(30)
    assert called == [detection("stop", 0)]
    assert callbacks.dropped == 0


def test_close_abandons_a_blocked_callback(callbacks, gate, caplog):
    """
    What waits for it is counted as dropped; its daemon thread ends when it returns.
    """
    before = set(threading.enumerate())
    callbacks.register("yes", gate)
    callbacks.detection(detection("yes", 0))
    callbacks.detection(detection("yes", 1))
    gate.wait_for_a_call()
    callbacks.close(timeout_s=0)
    (left,) = set(threading.enumerate()) - before
    gate.let_go()
    left.join(60)

    assert left.daemon
    assert not left.is_alive()
    assert gate.heard == [0]
    assert callbacks.dropped == 1
    assert messages(caplog) == [
        f"1 detections were not passed on to callback {gate!r} before the end"
    ]


def test_it_can_be_used_again_after_close(callbacks, gate):
    """
    Later detections wait for a callback that was abandoned, and have their full room.
    """
    callbacks.register("yes", gate)
    for time_s in range(MAX_WAITING):
        callbacks.detection(detection("yes", time_s))
    gate.wait_for_a_call()
    callbacks.close(timeout_s=0)
    for time_s in range(100, 100 + MAX_WAITING):
        callbacks.detection(detection("yes", time_s))
    gate.let_go()
    callbacks.close(timeout_s=60)

    assert gate.heard == [0, *range(100, 100 + MAX_WAITING)]
    assert callbacks.dropped == MAX_WAITING - 1


def test_threads_start_with_the_first_call_and_end_with_close(callbacks):
    """
    Without detections there is no thread; closing twice does no harm.
    """
    before = threading.active_count()
    callbacks.register("yes", lambda found: None)
    callbacks.detection(detection("no"))
    idle = threading.active_count()
    callbacks.detection(detection("yes"))
    callbacks.close(timeout_s=10)
    callbacks.close(timeout_s=10)

    assert threading.active_count() == idle == before


@pytest.mark.parametrize("seed", range(3))
def test_every_call_is_made_or_counted(clock, seed):
    """
    With callbacks that block and return at random, each call is made in order or dropped.
    """

    rng = np.random.default_rng(seed)
    callbacks = Callbacks(clock=clock)
    heard = {name: [] for name in range(4)}
    gates = {name: threading.Event() for name in heard}

    def make(name: int):
        def call(found: Detection) -> None:
            heard[name].append(found.time_s)
            assert gates[name].wait(60)

        return call

    for name in heard:
        callbacks.register("yes" if name < 2 else "no" if name < 3 else None, make(name))
    n_posted = 0
    for step in range(400):
        keyword = rng.choice(["yes", "no"])
        n_posted += 3 if keyword == "yes" else 2
        callbacks.detection(detection(keyword, step))
        gate = gates[int(rng.integers(4))]
        gate.set() if rng.random() < 0.3 else gate.clear()
    for gate in gates.values():
        gate.set()
    callbacks.close(timeout_s=60)

    assert sum(map(len, heard.values())) + callbacks.dropped == n_posted
    assert all(times == sorted(times) for times in heard.values())
    assert "kws-callback" not in {thread.name for thread in threading.enumerate()}
