"""Users' callbacks: off the audio path, in order, and unable to break anything."""

from __future__ import annotations

import logging
import sys
import threading

import numpy as np
import pytest
from support.held_calls import detection
from support.logged import messages

from kws.decision.policy import Detection
from kws.live.callbacks import CallbackQueue


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
