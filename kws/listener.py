"""Live listening: microphone, spotter, callbacks, statistics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.callbacks import Callback, CallbackThread
from kws.decision import Detection
from kws.errors import ConfigError, DeviceError
from kws.microphone import Microphone
from kws.resample import Resampler
from kws.spotter import KeywordSpotter

logger = logging.getLogger(__name__)
# A device that delivers nothing for so long is stuck: PortAudio flags neither stall nor loss.
STALL_S = 5.0


class ListenerStatistics(NamedTuple):
    """What a listener has done so far."""

    audio_s: float
    """Audio that went by, lost samples included."""

    detections: int
    lost_samples: int
    """Samples that came too fast for the consumer, at the device's rate."""

    overflows: int
    """How often the device lost input before it could hand it over, of unknown length."""


class Listener:
    """Listen to a microphone and call back on keywords.

    Opens the microphone when entered as a context. `wait` (or iteration) does the work in the
    caller's thread; callbacks run in a thread of their own.

    Parameters
    ----------
    spotter : KeywordSpotter
        Turns samples into detections; reset when listening begins.
    device : int or str, optional
        Index or part of the name of the microphone; without it the default one.
    """

    def __init__(self, spotter: KeywordSpotter, device: int | str | None = None) -> None:
        self.spotter = spotter
        self.on_samples: Callable[[NDArray[np.int16]], None] | None = None
        """Called with the samples that go to the spotter; for meters."""

        self._device = device
        self._callbacks = CallbackThread()
        self._microphone: Microphone | None = None
        self._resampler: Resampler | None = None
        self._lost_seen = 0
        self._overflows_seen = 0
        self._n_detections = 0
        self._stopping = False

    def __enter__(self) -> Listener:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def microphone(self) -> Microphone:
        """The open microphone."""
        if self._microphone is None:
            raise DeviceError("the listener is not open; use it in a with statement")
        return self._microphone

    @property
    def statistics(self) -> ListenerStatistics:
        """Counts since the microphone was opened."""
        return ListenerStatistics(
            self.spotter.time_s, self._n_detections, self._lost_seen, self._overflows_seen
        )

    def on(self, keyword: str, callback: Callback) -> None:
        """Call `callback(detection)` whenever `keyword` is heard.

        Raises
        ------
        ConfigError
            If the model does not know the keyword.
        """
        known = self.spotter.manifest.keywords
        if keyword not in known:
            raise ConfigError(f"keyword {keyword!r}: expected one of {', '.join(known)}")
        self._callbacks.register(keyword, callback)

    def on_any(self, callback: Callback) -> None:
        """Call `callback(detection)` on every keyword, after the keyword's own callbacks."""
        self._callbacks.register(None, callback)

    def open(self) -> None:
        """Open the microphone and start capturing.

        Raises
        ------
        DeviceError
            If the device cannot be found or opened.
        """
        self.spotter.reset()
        self._stopping = False
        self._lost_seen = self._n_detections = self._overflows_seen = 0
        self._microphone = Microphone(self._device, sample_rate=self.spotter.sample_rate)
        rate = self._microphone.rate
        wanted = self.spotter.sample_rate
        self._resampler = Resampler(rate, wanted) if rate != wanted else None

    def close(self) -> None:
        """Close the microphone and let waiting callbacks finish."""
        if self._microphone is not None:
            self._microphone.close()
            self._microphone = None
        self._callbacks.close()

    def stop(self) -> None:
        """Make `wait` return; may be called from any thread or from a callback."""
        self._stopping = True
        if self._microphone is not None:
            self._microphone.ready.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Listen until `stop` is called or `timeout_s` has gone by.

        Raises
        ------
        DeviceError
            If the device ends, or delivers nothing for five seconds.
        """
        for _ in self.detections(timeout_s):
            pass

    def detections(self, timeout_s: float | None = None) -> Iterator[Detection]:
        """Yield detections as they are made; otherwise as `wait`."""
        microphone = self.microphone
        started = heard = time.monotonic()
        while not self._stopping:
            now = time.monotonic()
            if timeout_s is not None and now - started >= timeout_s:
                return
            rest = STALL_S if timeout_s is None else min(STALL_S, started + timeout_s - now)
            microphone.ready.wait(rest)
            microphone.ready.clear()
            found = self._take(microphone)
            if found is not None:
                heard = time.monotonic()
                yield from found
            elif microphone.ended.is_set():
                raise DeviceError(f"device {microphone.device.name}: the stream ended; is it gone?")
            elif time.monotonic() - heard >= STALL_S:
                raise DeviceError(
                    f"device {microphone.device.name}: no audio for {STALL_S:g} s; is it stuck?"
                )

    def _take(self, microphone: Microphone) -> list[Detection] | None:
        """Return the detections in what the microphone has delivered; None if nothing was."""
        samples = microphone.buffer.read()
        lost = microphone.buffer.dropped_samples - self._lost_seen
        if lost:
            self._lost_seen += lost
            logger.warning("%d samples were lost: the machine could not keep up", lost)
            self.spotter.skip(round(lost * self.spotter.sample_rate / microphone.rate))
            if self._resampler is not None:
                self._resampler.reset()
        if microphone.overflows > self._overflows_seen:
            self._overflows_seen = microphone.overflows
            logger.warning("the device lost input before it was handed over")
            # How much is unknown, so time stands still; but this does not follow on the last.
            self.spotter.skip(0)
        if not len(samples):
            return None
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        if self.on_samples is not None:
            self.on_samples(samples)
        found = self.spotter.process(samples)
        self._n_detections += len(found)
        for detection in found:
            self._callbacks.post(detection)
        return found
