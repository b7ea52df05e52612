"""Users' callbacks: off the audio path, in order, and unable to break anything."""

from __future__ import annotations

import logging
import sys
import threading

import numpy as np
import pytest

from kws.callbacks import MAX_WAITING, PATIENCE_S, CallbackQueue
from kws.decision import Detection


class Clock:
    """Seconds that go on only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Gate:
    """A callback that does not return until it is let go; it notes each detection first."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self._entered = threading.Semaphore(0)
        self._let_go = threading.Event()

    def __call__(self, found: Detection) -> None:
        self.heard.append(found.time_s)
        self._entered.release()
        assert self._let_go.wait(60)

    def wait_for_a_call(self) -> None:
        assert self._entered.acquire(timeout=60)

    def let_go(self) -> None:
        self._let_go.set()


@pytest.fixture
def clock():
    return Clock()


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


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def detection(keyword: str, time_s: float = 1.0) -> Detection:
    return Detection(keyword, 0.9, time_s)


def test_only_the_keywords_own_callbacks_are_called(callbacks):
    """
    on("yes") hears of yes only, on_any of everything, with the detection as it was made.
    """
    yes, everything = [], []
    callbacks.register("yes", yes.append)
    callbacks.register(None, everything.append)
    callbacks.post(detection("yes", 1))
    callbacks.post(detection("no", 2))
    callbacks.close(timeout_s=10)

    assert yes == [detection("yes", 1)]
    assert everything == [detection("yes", 1), detection("no", 2)]


def test_callbacks_run_in_order(callbacks):
    """
    In the order of detections; for each one its keyword's callbacks first, as registered.
    """
    called = []
    callbacks.register(None, lambda found: called.append(("any", found.time_s)))
    callbacks.register("yes", lambda found: called.append(("first", found.time_s)))
    callbacks.register("yes", lambda found: called.append(("second", found.time_s)))
    for time_s in range(20):
        callbacks.post(detection("yes", time_s))
    callbacks.close(timeout_s=10)

    assert called == [(name, time) for time in range(20) for name in ("first", "second", "any")]


def test_callbacks_run_in_a_thread_of_their_own(callbacks):
    """
    Never in the thread that posts, and always in the same one.
    """
    threads = []
    callbacks.register("yes", lambda found: threads.append(threading.current_thread()))
    callbacks.post(detection("yes"))
    callbacks.post(detection("yes"))
    callbacks.close(timeout_s=10)

    assert len(threads) == 2
    assert threads[0] is threads[1]
    assert threads[0] is not threading.current_thread()


def test_an_exception_is_logged_with_its_keyword_and_the_rest_goes_on(callbacks, caplog):
    """
    A callback that raises stops neither the others nor later ones; the log names the keyword.
    """
    called = []

    def fail(found: Detection) -> None:
        raise RuntimeError("the lamp is broken")

    callbacks.register("stop", fail)
    callbacks.register("stop", called.append)
    with caplog.at_level(logging.ERROR, logger="kws"):
        callbacks.post(detection("stop", 1))
        callbacks.post(detection("stop", 2))
        callbacks.close(timeout_s=10)

    assert called == [detection("stop", 1), detection("stop", 2)]
    assert [record.getMessage() for record in caplog.records] == [
        "the callback of stop raised an exception"
    ] * 2
    assert "the lamp is broken" in caplog.text


def test_sys_exit_in_a_callback_ends_nothing(callbacks, caplog):
    """
    What would end a thread silently is logged like any exception, and the rest goes on.
    """
    called = []
    callbacks.register("stop", lambda found: sys.exit(3))
    callbacks.register("stop", called.append)
    callbacks.post(detection("stop", 1))
    callbacks.post(detection("stop", 2))
    callbacks.close(timeout_s=10)

    assert called == [detection("stop", 1), detection("stop", 2)]
    assert messages(caplog) == ["the callback of stop raised an exception"] * 2


def test_posting_never_waits_for_a_slow_callback(callbacks, gates, clock, caplog):
    """
    While a callback hangs, detections wait up to a limit; what is beyond is dropped, counted,
    and logged at most once a second.
    """
    gate = gates()
    callbacks.register("yes", gate)
    callbacks.post(detection("yes", 0))
    gate.wait_for_a_call()
    for time_s in range(1, MAX_WAITING + 4):
        callbacks.post(detection("yes", time_s))
    first = messages(caplog)
    clock.now_s += 1
    callbacks.tend()
    gate.let_go()
    callbacks.close(timeout_s=10)

    name = repr(gate)
    assert gate.heard == list(range(MAX_WAITING + 1))
    assert callbacks.dropped == 3
    assert first == [
        f"callback {name} is behind by {MAX_WAITING} detections; yes at {MAX_WAITING + 1}.00 s "
        "was not passed on to it"
    ]
    assert messages(caplog)[1:] == [
        f"callback {name} is behind by {MAX_WAITING} detections; yes at {MAX_WAITING + 3}.00 s "
        "was not passed on to it (and 1 more like this)"
    ]


def test_a_callback_that_blocks_for_ever_does_not_stop_the_others(callbacks, gates, clock, caplog):
    """
    After two seconds the others' calls go on in their order, those of the same detection too;
    its own wait for it, and are made in their order when it returns.
    """
    gate, called, others = gates(), [], threading.Semaphore(0)

    def note(found: Detection) -> None:
        called.append(found.time_s)
        others.release()

    callbacks.register("yes", gate)
    callbacks.register(None, note)
    for keyword, time_s in (("yes", 0), ("no", 1), ("yes", 2), ("no", 3)):
        callbacks.post(detection(keyword, time_s))
    gate.wait_for_a_call()
    clock.now_s += PATIENCE_S
    callbacks.tend()
    patient = list(called)
    clock.now_s += 0.5
    callbacks.tend()
    for _ in range(4):
        assert others.acquire(timeout=60)
    blocked = list(gate.heard)
    gate.let_go()
    callbacks.close(timeout_s=10)

    assert patient == []
    assert called == [0, 1, 2, 3]
    assert blocked == [0]
    assert gate.heard == [0, 2]
    assert callbacks.dropped == 0
    assert messages(caplog) == [
        f"callback {gate!r} has been busy for 2.5 s; the others go on without it"
    ]


def test_a_slow_callback_alone_keeps_its_thread(callbacks, gates, clock, caplog):
    """
    Where only its own calls wait, nobody is held up: no thread is added and nothing is logged.
    """
    gate = gates()
    callbacks.register("yes", gate)
    callbacks.post(detection("yes", 0))
    gate.wait_for_a_call()
    callbacks.post(detection("yes", 1))
    before = threading.active_count()
    clock.now_s += 3600
    callbacks.tend()

    assert threading.active_count() == before
    assert messages(caplog) == []


def test_threads_are_bounded_by_the_callbacks(callbacks, gates, clock):
    """
    Callbacks that all block take a thread each, however many detections come; then the last
    free one still hears everything.
    """
    before = threading.active_count()
    blocking = [gates() for _ in range(5)]
    called, heard = [], threading.Semaphore(0)
    for gate in blocking:
        callbacks.register("yes", gate)
        callbacks.register("no", gate)
    callbacks.register(None, lambda found: (called.append(found.time_s), heard.release()))
    callbacks.post(detection("yes", 0))
    for gate in blocking:
        gate.wait_for_a_call()
        clock.now_s += PATIENCE_S + 0.1
        callbacks.tend()
    for time_s in range(1, 300):
        assert heard.acquire(timeout=60)
        callbacks.post(detection("no" if time_s % 2 else "yes", time_s))
        clock.now_s += PATIENCE_S + 0.1
        callbacks.tend()
    assert heard.acquire(timeout=60)

    assert called == list(range(300))
    assert [gate.heard for gate in blocking] == [[0]] * 5
    assert callbacks.dropped == 5 * (299 - MAX_WAITING)
    assert threading.active_count() - before == len(blocking) + 1


def test_the_same_callback_never_runs_twice_at_once(callbacks, gates, clock):
    """
    A function or method registered for two keywords is one callback: while it is busy for one,
    its calls for the other wait too, and those of everybody else go on.
    """

    class Lamp:
        def __init__(self) -> None:
            self.gate = gates()

        def switch(self, found: Detection) -> None:
            self.gate(found)

    lamp, called, heard = Lamp(), [], threading.Event()
    callbacks.register("yes", lamp.switch)
    callbacks.register("no", lamp.switch)
    callbacks.register("no", lambda found: (called.append(found.time_s), heard.set()))
    callbacks.post(detection("yes", 0))
    lamp.gate.wait_for_a_call()
    callbacks.post(detection("no", 1))
    clock.now_s += PATIENCE_S + 0.1
    callbacks.tend()
    assert heard.wait(60)
    while_busy = list(lamp.gate.heard)
    lamp.gate.let_go()
    callbacks.close(timeout_s=10)

    assert called == [1]
    assert while_busy == [0]
    assert lamp.gate.heard == [0, 1]


def test_close_leaves_a_blocked_callback_behind(callbacks, gates, caplog):
    """
    Close returns although a callback never does; what waited is counted, and only the thread
    that it keeps is left, which does not hold up the end of the program.
    """
    before = set(threading.enumerate())
    gate, called = gates(), []
    callbacks.register("yes", gate)
    callbacks.register(None, called.append)
    callbacks.post(detection("yes", 0))
    callbacks.post(detection("yes", 1))
    gate.wait_for_a_call()
    callbacks.close(timeout_s=0)

    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    assert callbacks.dropped == 3
    assert messages(caplog) == [
        "3 detections were not passed on to callbacks before the end: "
        f"{gate!r}, {called.append.__qualname__}"
    ]
    gate.let_go()
    left.join(60)
    assert not left.is_alive()
    assert called == []


def test_close_does_not_let_a_blocked_callback_hold_up_the_others(callbacks, gates, clock):
    """
    What waits behind a callback that was busy for long is still called at the end.
    """
    gate, called = gates(), []
    callbacks.register("yes", gate)
    callbacks.register(None, lambda found: (called.append(found.time_s), gate.let_go()))
    callbacks.post(detection("yes", 0))
    gate.wait_for_a_call()
    clock.now_s += PATIENCE_S + 0.1
    callbacks.close(timeout_s=10)

    assert called == [0]
    assert callbacks.dropped == 0


def test_a_callback_may_close(callbacks):
    """
    Closing from within a callback does not wait for that callback, and what waits is called.
    """
    called, closed = [], threading.Event()

    def close(found: Detection) -> None:
        callbacks.close(timeout_s=60)
        closed.set()

    callbacks.register("stop", close)
    callbacks.register(None, called.append)
    callbacks.post(detection("stop", 0))

    assert closed.wait(30)
    assert called == [detection("stop", 0)]
    assert callbacks.dropped == 0


@pytest.mark.parametrize("seed", range(5))
def test_every_call_is_made_or_counted(clock, seed):
    """
    Whatever blocks, returns, is posted and tended in whatever order: each call is made once, in
    the order of its callback's detections, or counted as dropped.
    """
    rng = np.random.default_rng(seed)
    callbacks = CallbackQueue(clock=clock)
    heard = {name: [] for name in range(4)}
    # A callback that finds its name here waits until it is let go.
    blocked = {name: threading.Event() for name in heard}
    for event in blocked.values():
        event.set()

    def make(name: int):
        def call(found: Detection) -> None:
            heard[name].append(found.time_s)
            assert blocked[name].wait(60)

        return call

    for name in heard:
        callbacks.register("yes" if name < 2 else "no" if name < 3 else None, make(name))
    n_posted = 0
    before = threading.active_count()
    for step in range(400):
        keyword = rng.choice(["yes", "no"])
        for _ in range(int(rng.integers(3))):
            n_posted += 3 if keyword == "yes" else 2
            callbacks.post(detection(keyword, step))
        event = blocked[int(rng.integers(4))]
        event.set() if rng.random() < 0.5 else event.clear()
        clock.now_s += rng.random() * 3
        callbacks.tend()
        assert threading.active_count() - before <= len(heard) + 1
    for event in blocked.values():
        event.set()
    callbacks.close(timeout_s=60)

    assert sum(map(len, heard.values())) + callbacks.dropped == n_posted
    assert all(times == sorted(times) for times in heard.values())
    assert threading.active_count() == before


def test_without_callbacks_no_thread_is_started(callbacks):
    """
    Nothing registered costs nothing.
    """
    before = threading.active_count()
    callbacks.post(detection("yes"))

    assert threading.active_count() == before


def test_close_may_be_called_twice_and_ends_the_thread(callbacks):
    """
    After close no thread is left; closing again, or unused, does no harm.
    """
    before = threading.active_count()
    callbacks.register("yes", lambda found: None)
    callbacks.post(detection("yes"))
    callbacks.close(timeout_s=10)
    callbacks.close(timeout_s=10)

    assert threading.active_count() == before


def test_it_can_be_used_again_after_close(callbacks):
    """
    A listener that is opened again calls back again.
    """
    called = []
    callbacks.register("yes", called.append)
    callbacks.post(detection("yes", 1))
    callbacks.close(timeout_s=10)
    callbacks.post(detection("yes", 2))
    callbacks.close(timeout_s=10)

    assert called == [detection("yes", 1), detection("yes", 2)]


def test_after_close_there_is_room_again(callbacks, gates):
    """
    What was dropped at the end takes no room from what comes when it is opened again.
    """
    gate = gates()
    callbacks.register("yes", gate)
    for time_s in range(MAX_WAITING):
        callbacks.post(detection("yes", time_s))
    gate.wait_for_a_call()
    callbacks.close(timeout_s=0)
    for time_s in range(100, 100 + MAX_WAITING):
        callbacks.post(detection("yes", time_s))
    gate.let_go()
    callbacks.close(timeout_s=60)

    assert gate.heard == [0, *range(100, 100 + MAX_WAITING)]
    assert callbacks.dropped == MAX_WAITING - 1
