"""Users' callbacks that are slow or never return: they wait alone, in threads that are few."""

from __future__ import annotations

import threading

from support.held_calls import detection
from support.logged import messages

from kws.decision.policy import Detection
from kws.live.callbacks import MAX_WAITING, PATIENCE_S


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
