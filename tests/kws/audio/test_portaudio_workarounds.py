"""Detecting a thread that spins, whatever other threads do."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import pytest
from support.fake_portaudio import FakePortAudioSystem

from kws.audio import microphone
from kws.audio.background_call import BackgroundCall
from kws.audio.microphone import Microphone
from kws.audio.portaudio_workarounds import SpinWatch, cpu_s, library_threads
from kws.errors import SoundServerGoneError

# CPU time in these tests; the real limit takes seconds.
LIMIT_S = 0.05


class Threads:
    """Threads like those of a library, unknown to Python; they spin or wait."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def start(self, *, spinning: bool) -> int:
        """Start one; return its number."""
        numbers: list[int] = []
        known = threading.Event()

        def run() -> None:
            numbers.append(_thread.get_native_id())
            known.set()
            while spinning and not self.over.is_set():
                pass
            self.over.wait(60)

        _thread.start_new_thread(run, ())
        assert known.wait(60)
        return numbers[0]


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.over.set()


@contextmanager
def busy(n: int = 1) -> Iterator[list[threading.Thread]]:
    """Keep the CPU busy with other threads."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            pass

    made = [threading.Thread(target=run) for _ in range(n)]
    for thread in made:
        thread.start()
    try:
        yield made
    finally:
        over.set()
        for thread in made:
            thread.join(60)


def use_up(thread_id: int, seconds: float) -> None:
    """Wait until a thread has used this much CPU time."""
    least_s = cpu_s(thread_id) + seconds
    waiting = threading.Event()
    while cpu_s(thread_id) < least_s:
        waiting.wait(0.01)


def test_a_spinning_thread_is_detected(threads):
    """
    Also beside busy threads, which leave it only part of a CPU.
    """
    number = threads.start(spinning=True)
    with busy():
        watch = SpinWatch([number], limit_s=LIMIT_S)
        assert not watch.spins()
        use_up(number, LIMIT_S)

        assert watch.spins()


def test_a_waiting_thread_beside_busy_ones_does_not_spin(threads):
    """
    CPU time of other threads does not count.
    """
    number = threads.start(spinning=False)
    with busy() as others:
        watch = SpinWatch([number], limit_s=LIMIT_S)
        for other in others:
            use_up(other.native_id, 2 * LIMIT_S)

        assert not watch.spins()


def test_earlier_cpu_time_does_not_count(threads):
    """
    Only time since the start of the watch.
    """
    number = threads.start(spinning=True)
    use_up(number, 2 * LIMIT_S)
    threads.over.set()

    assert not SpinWatch([number], limit_s=LIMIT_S).spins()


def test_library_threads_are_those_that_python_did_not_start(threads):
    """
    A thread started by a library is found; the interpreter's own are not.
    """
    before = library_threads()
    with busy():
        number = threads.start(spinning=False)

        assert library_threads() - before == {number}


def test_a_missing_thread_has_no_cpu_time():
    """
    It may have ended.
    """
    assert cpu_s(2**31 - 1) == 0.0


@contextmanager
def closing_microphone(threads: Threads, *, spinning: bool) -> Iterator[Microphone]:
    """Open a microphone with such a thread, whose close blocks until the end."""
    system = FakePortAudioSystem()

    def start(stream: object) -> None:
        threads.start(spinning=spinning)

    def close(stream: object, ignore_errors: bool = False) -> None:
        threads.over.wait(60)

    with (
        system.installed(),
        mock.patch.object(microphone, "BackgroundCall", BackgroundCall),
        mock.patch.object(microphone, "SPIN_CHECK_S", 0.01),
        mock.patch.object(microphone, "SpinWatch", partial(SpinWatch, limit_s=LIMIT_S)),
        mock.patch("support.fake_portaudio.FakeInputStream.start", start),
        mock.patch("support.fake_portaudio.FakeInputStream.close", close),
    ):
        yield Microphone()


def test_a_microphone_whose_thread_spins_cannot_be_closed(threads):
    """
    PortAudio spins over some devices that are gone: only a new process can recover.
    """
    with (
        closing_microphone(threads, spinning=True) as opened,
        busy(),
        pytest.raises(SoundServerGoneError, match="endless loop"),
    ):
        opened.close()


def test_a_hanging_server_beside_busy_threads_does_not_spin(threads):
    """
    Its close is waited for, however busy the rest of the program is.
    """
    with closing_microphone(threads, spinning=False) as opened, busy() as others:
        closing = BackgroundCall(opened.close, threading.Event())
        for other in others:
            use_up(other.native_id, 3 * LIMIT_S)
        assert not closing.join(0)
        threads.over.set()

        assert closing.join(60)
        assert closing.result() is None
