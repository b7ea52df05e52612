"""Users' callbacks: off the audio path, in order, and unable to break anything."""

from __future__ import annotations

import logging
import threading

import pytest

from kws.callbacks import MAX_WAITING, CallbackThread
from kws.decision import Detection


@pytest.fixture
def callbacks():
    thread = CallbackThread()
    yield thread
    thread.close(timeout_s=10)


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


def test_posting_never_waits_for_a_slow_callback(callbacks, caplog):
    """
    While a callback hangs, detections wait up to a limit; what is beyond is dropped and logged.
    """
    go_on, entered, called = threading.Event(), threading.Event(), []

    def hang(found: Detection) -> None:
        called.append(found.time_s)
        entered.set()
        assert go_on.wait(10)

    callbacks.register("yes", hang)
    callbacks.post(detection("yes", 0))

    assert entered.wait(10)

    for time_s in range(1, MAX_WAITING + 3):
        callbacks.post(detection("yes", time_s))
    go_on.set()
    callbacks.close(timeout_s=10)

    assert called == list(range(MAX_WAITING + 1))
    assert [record.getMessage() for record in caplog.records] == [
        f"callbacks are behind by {MAX_WAITING} detections; yes at {MAX_WAITING + n}.00 s was "
        "not passed on"
        for n in (1, 2)
    ]


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
