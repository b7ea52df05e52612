"""Waiting for what another thread does, and Ctrl-C in the middle of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from kws.audio.audio_system import AudioSystem
from kws.audio.wake_event import WakeEvent
from kws.decision.policy import Detection
from kws.live.callbacks import CallbackQueue

# More steps than any function here takes.
MANY_STEPS = 1_000


def interrupted_at(step: int, function: Callable[[], object]) -> bool:
    """Interrupt `function` at one of its steps; False if it has not so many.

    A step is where Python looks for signals: a function of Python's begins, or one of C's is over.
    """
    n_steps = 0

    def look(frame, event, argument):
        nonlocal n_steps
        if event in ("call", "c_return"):
            n_steps += 1
            if n_steps > step:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        function()
    except KeyboardInterrupt:
        return True
    except RuntimeError as error:
        # What becomes of it inside `Thread.start`, which waits in Python code.
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        return True
    finally:
        sys.setprofile(None)
    return False


def interrupts(function: Callable[[], object]) -> Iterator[int]:
    """Interrupt `function` at its first step, then at its second, and so on to its end."""
    for step in range(MANY_STEPS):
        if not interrupted_at(step, function):
            return
        yield step
    pytest.fail(f"more than {MANY_STEPS} steps")


def test_it_wakes_once():
    """
    Set before or while somebody waits, twice or once: one wait returns at once, the next does not.
    """
    event = WakeEvent()
    assert not event.is_set()
    event.set()
    event.set()
    assert event.is_set()
    assert event.wait(60)
    assert not event.is_set()
    assert not event.wait(0.001)
    assert not event.wait(-1.0)

    threading.Timer(0.01, event.set).start()
    assert event.wait(60)

    event.set()
    event.clear()
    event.clear()
    assert not event.wait(0)


def test_an_interrupt_at_any_step_leaves_it_whole():
    """
    An interrupt anywhere in waiting, setting or clearing arrives as that; all of them work on.
    """
    event = WakeEvent()
    system = AudioSystem()
    for act in (lambda: system.wait(event, 0.001), event.set, event.clear):
        steps = []
        for step in interrupts(act):
            event.clear()
            assert not event.wait(0.0)
            event.set()
            assert event.wait(60)
            steps.append(step)
        assert len(steps) >= 2


@pytest.mark.parametrize("name", ["post", "tend"])
def test_an_interrupt_at_any_step_holds_up_no_callback(name):
    """
    An interrupt while a detection is handed over, or those that wait are looked after, leaves the
    queue to other threads.
    """
    detection = Detection("yes", 0.9, 1.0)
    queue = CallbackQueue()
    entered, let_go = threading.Event(), threading.Event()

    def called(detection: Detection) -> None:
        entered.set()
        let_go.wait(60)

    queue.register(None, called)
    queue.post(detection)
    assert entered.wait(60)
    queue.post(detection)
    n_steps = 0
    for _ in interrupts({"post": lambda: queue.post(detection), "tend": queue.tend}[name]):
        other = threading.Thread(target=queue.tend, daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive()
        n_steps += 1
    let_go.set()
    queue.close()

    assert n_steps >= 5


@pytest.mark.parametrize("state", ["new", "idle"])
def test_an_interrupt_while_a_detection_is_handed_over_loses_no_later_one(state):
    """
    Before the thread that calls back is started, while it is, or while it waits for work: the
    next detection is called back, and the end is clean.
    """
    detection = Detection("yes", 0.9, 1.0)
    queue = None
    called = threading.Semaphore(0)

    def begin() -> None:
        nonlocal queue, called
        queue, called = CallbackQueue(), threading.Semaphore(0)
        queue.register(None, lambda found, heard=called: heard.release())
        if state == "idle":
            queue.post(detection)
            assert called.acquire(timeout=60)

    begin()
    n_steps = 0
    for _ in interrupts(lambda: queue.post(detection)):
        later = Detection("no", 0.9, 2.0)
        queue.post(later)
        assert called.acquire(timeout=60)
        queue.close()
        n_steps += 1
        begin()
    queue.close()

    assert n_steps >= 5
