"""The buffer between the audio thread and the consumer."""

from __future__ import annotations

import sys
import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.audio.ring_buffer import RingBuffer
from kws.errors import ConfigError


def counter(first: int, n: int) -> np.ndarray:
    """Return samples whose value is their position in the stream, modulo 2**16."""
    return (np.arange(first, first + n) & 0xFFFF).astype(np.uint16).view(np.int16)


def test_samples_are_read_in_order():
    """
    Each one once.
    """
    buffer = RingBuffer(10)
    buffer.write(counter(0, 4))
    buffer.write(counter(4, 3))

    assert len(buffer) == 7
    assert buffer.read().tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert buffer.read().tolist() == []
    assert buffer.dropped_samples == 0


def test_overflow_drops_the_oldest_and_counts_them():
    """
    The newest samples are kept; overwritten ones are counted at the next read.
    """
    buffer = RingBuffer(5)
    buffer.write(counter(0, 4))
    buffer.write(counter(4, 4))

    assert len(buffer) == 5
    assert buffer.read().tolist() == [3, 4, 5, 6, 7]
    assert buffer.dropped_samples == 3


def test_read_returns_a_copy():
    """
    Later writes do not change samples already read.
    """
    buffer = RingBuffer(4)
    buffer.write(counter(0, 4))
    samples = buffer.read()
    buffer.write(counter(100, 4))

    assert samples.tolist() == [0, 1, 2, 3]


def test_capacity_must_be_positive():
    """
    A buffer without capacity is refused.
    """
    with pytest.raises(ConfigError, match="capacity: expected at least 1, got 0"):
        RingBuffer(0)


@given(
    capacity=st.integers(1, 20),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40),
)
def test_any_order_of_writes_and_reads_equals_a_bounded_queue(capacity, steps):
    """
    For every sequence of calls the buffer behaves like a queue of that length.
    """
    buffer = RingBuffer(capacity)
    queue: deque[int] = deque(maxlen=capacity)
    n_written = n_read = 0
    for is_write, n in steps:
        if is_write:
            buffer.write(counter(n_written, n))
            queue.extend(range(n_written, n_written + n))
            n_written += n
        else:
            expected = [queue.popleft() for _ in range(min(n, len(queue)))]
            n_read += len(expected)

            assert buffer.read(n).tolist() == expected
        assert len(buffer) == len(queue)
    n_read += len(buffer.read())

    assert n_read + buffer.dropped_samples == n_written


class Watched(np.ndarray):
    """Memory that runs a hook once, in the middle of a read or a write."""

    during_read = during_write = None

    def __getitem__(self, key):
        part = super().__getitem__(key)
        hook, self.during_read = self.during_read, None
        if hook is not None:
            hook()
        return part

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        hook, self.during_write = self.during_write, None
        if hook is not None:
            hook()


@pytest.fixture
def watched() -> RingBuffer:
    """A full buffer of 8 samples with hooks."""
    buffer = RingBuffer(8)
    buffer._samples = buffer._samples.view(Watched)
    buffer.write(counter(0, 8))
    return buffer


def test_samples_overwritten_while_they_are_read_count_as_dropped(watched):
    """
    If the producer laps the consumer in the middle of its copy, samples it overwrote are not
    returned.
    """
    watched._samples.during_read = lambda: watched.write(counter(8, 3))

    assert watched.read().tolist() == [3, 4, 5, 6, 7]
    assert watched.dropped_samples == 3
    assert watched.read().tolist() == [8, 9, 10]


def test_samples_of_an_unfinished_write_are_not_read(watched):
    """
    Nor the old samples that they replace.
    """
    heard = []
    watched._samples.during_write = lambda: heard.append(watched.read().tolist())
    watched.write(counter(8, 4))

    assert heard == [[4, 5, 6, 7]]
    assert watched.dropped_samples == 4
    assert watched.read().tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("capacity", [256, 4_096])
def test_two_threads_lose_nothing_uncounted(capacity, monkeypatch):
    """
    While a producer races a consumer, samples are in order, gaps are exactly the dropped
    samples, and read + dropped = written.
    """
    buffer = RingBuffer(capacity)
    sizes = np.random.default_rng(5).integers(1, 200, 6_000).tolist()
    total = sum(sizes)
    done = threading.Event()

    def produce() -> None:
        at = 0
        for n in sizes:
            buffer.write(counter(at, n))
            at += n
        done.set()

    # Threads switch as often as Python can.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    producer = threading.Thread(target=produce)
    n_read = 0
    wrong = []
    try:
        producer.start()
        finished = False
        while not finished:
            finished = done.is_set()
            samples = buffer.read(300)
            while len(samples):
                first = n_read + buffer.dropped_samples
                if not np.array_equal(samples, counter(first, len(samples))):
                    wrong.append(first)
                n_read += len(samples)
                samples = buffer.read(300) if finished else samples[:0]
    finally:
        producer.join(timeout=30)
        sys.setswitchinterval(interval)

    assert wrong == []
    assert n_read + buffer.dropped_samples == total
    assert n_read > 0
