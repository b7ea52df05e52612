"""Live listening: microphone, spotter, callbacks, statistics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from kws.audio.audio_system import AudioSystem, Source
from kws.audio.capture_config import CaptureConfig
from kws.audio.chunk import Piece
from kws.audio.conditioning import Conditioner
from kws.audio.reconnect import Connection
from kws.audio.signal_health import SignalHealth
from kws.decision.policy import Detection
from kws.errors import ConfigError, DeviceError
from kws.live.callbacks import Callback, CallbackQueue
from kws.live.reports import REPORT_S, ListenerEvent, ListenerStatistics, LossReport
from kws.spotter import KeywordSpotter

__all__ = ["REPORT_S", "TICK_S", "Listener", "ListenerEvent", "ListenerStatistics"]

logger = logging.getLogger(__name__)
# At least so often the listening thread comes round, whatever the device does.
TICK_S = 0.25
# For the callbacks that wait or run at the end, beside what letting the microphone go may take.
CALLBACKS_S = 0.4


class Listener:
    """Listen to a microphone and call back on keywords.

    Opens the microphone when entered as a context. `wait` (or iteration) does the work in the
    caller's thread; callbacks run in a thread of their own. A device that is lost is opened again
    as soon as it is back.

    Each of several listeners in a process needs a spotter of its own. While one of them has its
    microphone open, another one that has lost its device cannot have PortAudio look for what is
    plugged in now, because that would end all streams: it finds its device again only under its
    old name and card number, and says so in the log.

    Streams that the program itself has opened with sounddevice are not known to a listener. They
    end when it looks for its lost device, unless `CaptureConfig.reconnect` is off.

    Parameters
    ----------
    spotter : KeywordSpotter
        Turns samples into detections; reset when listening begins.
    device : int or str, optional
        Index or part of the name of the microphone; without it the default one.
    config : CaptureConfig, optional
        Channel, gain, latency, block length, and what to do about a lost device.
    system : AudioSystem, optional
        Time and microphones; a test may bring its own.
    """

    def __init__(
        self,
        spotter: KeywordSpotter,
        device: int | str | None = None,
        *,
        config: CaptureConfig | None = None,
        system: AudioSystem | None = None,
    ) -> None:
        self.spotter = spotter
        self.on_samples: Callable[[NDArray[np.int16]], None] | None = None
        """Called with the samples that go to the spotter; for meters."""

        self.on_gap: Callable[[int], None] | None = None
        """Called with the number of samples that are missing before the next ones."""

        self.on_detection: Callable[[Detection], None] | None = None
        """Called with each detection from the thread that listens, in order with `on_samples` and
        `on_gap`: for recorders. It must not take long; callbacks of `on` may."""

        self.on_event: Callable[[ListenerEvent], None] | None = None
        """Called when the microphone is lost, back, or in trouble; without it that is logged."""

        self.on_tick: Callable[[], None] | None = None
        """Called several times a second from the thread that listens, also without a device."""

        self._device = device
        self._config = CaptureConfig() if config is None else config
        self._system = AudioSystem() if system is None else system
        self._callbacks = CallbackQueue(clock=self._system.now)
        self._connection: Connection | None = None
        self._stopping = False
        self._forget()

    def _forget(self) -> None:
        """Start all counts anew."""
        self._conditioner: Conditioner | None = None
        self._health = SignalHealth(self.spotter.sample_rate)
        self._report = LossReport(self._tell, sample_rate=self.spotter.sample_rate)
        self._n_detections = self._lost = self._clipped = 0

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
    def microphone(self) -> Source | None:
        """The open microphone; None while it is lost.

        Raises
        ------
        DeviceError
            If the listener is not open.
        """
        return self._open_connection().source

    @property
    def statistics(self) -> ListenerStatistics:
        """Counts since the microphone was opened."""
        connection = self._connection
        return ListenerStatistics(
            audio_s=self.spotter.time_s,
            detections=self._n_detections,
            lost_samples=self._lost,
            overflows=connection.overflows if connection else 0,
            losses=connection.n_losses if connection else 0,
            clipped_samples=self._clipped,
            dropped_callbacks=self._callbacks.dropped,
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
            If the device cannot be found or opened, or the listener is open already.
        """
        if self._connection is not None and not self._connection.closed:
            raise DeviceError("the listener is open already; close it before it is opened again")
        self.spotter.reset()
        self._stopping = False
        self._forget()
        self._connection = Connection(
            self._device,
            sample_rate=self.spotter.sample_rate,
            config=self._config,
            tell=self._tell,
            system=self._system,
        )
        try:
            self._connection.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the microphone and let waiting callbacks finish; within a second.

        As with `stop`, a `wait` that goes on in another thread returns.
        """
        self.stop()
        if self._connection is not None:
            self._connection.close()
        self._callbacks.close(CALLBACKS_S)

    def stop(self) -> None:
        """Make `wait` return; may be called from any thread or from a callback."""
        self._stopping = True
        if self._connection is not None:
            self._connection.wake()

    def wait(self, timeout_s: float | None = None) -> None:
        """Listen until `stop` is called or `timeout_s` has gone by.

        Raises
        ------
        DeviceError
            If the device is lost and `CaptureConfig.reconnect` is off.
        """
        for _ in self.detections(timeout_s):
            pass

    def detections(self, timeout_s: float | None = None) -> Iterator[Detection]:
        """Yield detections as they are made; otherwise as `wait`."""
        connection = self._open_connection()
        ends = None if timeout_s is None else self._system.now() + timeout_s
        try:
            while not self._stopping:
                left = TICK_S if ends is None else ends - self._system.now()
                if left <= 0:
                    return
                piece = connection.read(min(TICK_S, left))
                self._tick()
                if piece is not None:
                    yield from self._take(piece)
                elif connection.lost:
                    # Not only at the return, hours later: it may hold the end of a word.
                    yield from self._hear_held_back()
        finally:
            # Time goes on while the device is away, whoever ends the waiting.
            away = round(connection.leave_gap_s() * self.spotter.sample_rate)
            if away:
                self._skip(away)

    def _take(self, piece: Piece) -> list[Detection]:
        """Return the detections in a piece of audio."""
        wanted = self.spotter.sample_rate
        found = []
        if piece.cut:
            dropped = round(piece.dropped * wanted / piece.rate)
            self._report.drop(dropped)
            found += self._skip(dropped + round(piece.gap_s * wanted))
        if piece.news is not None:
            self._tell("returned", piece.news)
        if self._conditioner is None:
            self._conditioner = Conditioner(piece.rate, wanted, gain_db=self._config.gain_db)
        samples = self._conditioner.push(piece.samples)
        return found + self._hear(samples, self._conditioner.take_clipped())

    def _hear(self, samples: NDArray[np.int16], clipped: int) -> list[Detection]:
        """Return the detections in samples at the spotter's rate."""
        self._clipped += clipped
        if self.on_samples is not None and len(samples):
            self.on_samples(samples)
        hint = self._health.push(samples, clipped)
        if hint is not None:
            self._tell(*hint)
        found = self.spotter.process(samples)
        self._n_detections += len(found)
        for detection in found:
            if self.on_detection is not None:
                self.on_detection(detection)
            self._callbacks.post(detection)
        return found

    def _hear_held_back(self) -> list[Detection]:
        """Return the detections in what the resampler has held back until now."""
        conditioner, self._conditioner = self._conditioner, None
        if conditioner is None:
            return []
        return self._hear(conditioner.finish(), conditioner.take_clipped())

    def _skip(self, n_samples: int) -> list[Detection]:
        """Let time go on over audio that never came; none is a cut of unknown length.

        Returns the detections in what the resampler has held back until now.
        """
        found = self._hear_held_back()
        self._lost += n_samples
        self.spotter.skip(n_samples)
        if self.on_gap is not None:
            self.on_gap(n_samples)
        return found

    def _tick(self) -> None:
        """Do what is due however the device is; report losses no more than once a second."""
        self._callbacks.tend()
        if self.on_tick is not None:
            self.on_tick()
        self._report.tend(self._system.now(), overflows=self.statistics.overflows)

    def _tell(self, kind: str, text: str) -> None:
        if self.on_event is None:
            logger.warning("%s", text)
        else:
            self.on_event(ListenerEvent(kind, text, self.spotter.time_s))

    def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise DeviceError("the listener is not open; use it in a with statement")
        return self._connection
