"""Live listening: microphone, spotter, sinks, callbacks, statistics."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from kws.audio.capture_config import CaptureConfig
from kws.audio.conditioning import Conditioner, SignalHealth
from kws.audio.reconnect import POLL_S, AudioChunk, ReconnectingMicrophone
from kws.audio.source import AudioSystem, Source
from kws.decision.policy import Detection
from kws.errors import ConfigError, DeviceError
from kws.live.callbacks import Callback, Callbacks
from kws.live.reports import ListenerEvent, ListenerStatistics, LossReport
from kws.live.sinks import Sink, SinkGroup
from kws.spotter import KeywordSpotter

logger = logging.getLogger(__name__)
# From `close` to its end, even if the sound server hangs; sinks get at least the second number.
CLOSE_S = 0.5
LEAST_SINK_S = 0.1
# Of 0.1. Assigning one would be ignored in silence.
REMOVED_HOOKS = frozenset(("on_samples", "on_gap", "on_detection", "on_event", "on_tick"))


class Listener:
    """Listen to a microphone and call back on keywords.

    Opens the microphone when entered as a context. `wait` (or iteration) does the work in the
    caller's thread; each callback runs in a thread of its own. A device that is lost is opened
    again as soon as it is back. Events of the microphone are logged as warnings.

    Each of several listeners in a process needs its own spotter. While one of them has its
    microphone open, another one that has lost its device cannot let PortAudio rescan the devices,
    because that would end all streams: it finds its device again only under its old name and card
    number, and logs that.

    A listener does not know of streams that the program itself opened with sounddevice. They end
    when it rescans the devices, unless `CaptureConfig.reconnect` is off.

    Parameters
    ----------
    spotter : KeywordSpotter
        Turns samples into detections; reset when listening begins.
    device : int or str, optional
        Index or part of the name of the microphone; without it the default one.
    config : CaptureConfig, optional
        Channel, gain, latency, block length, and what to do about a lost device.
    sinks : sequence of Sink, optional
        Receive samples, gaps, detections and events, in order; closed with the listener.
    system : AudioSystem, optional
        Time and microphones; for tests.
    """

    def __init__(
        self,
        spotter: KeywordSpotter,
        device: int | str | None = None,
        *,
        config: CaptureConfig | None = None,
        sinks: Sequence[Sink] = (),
        system: AudioSystem | None = None,
    ) -> None:
        self.spotter = spotter
        self._device = device
        self._config = CaptureConfig() if config is None else config
        self._system = AudioSystem() if system is None else system
        self._callbacks = Callbacks(clock=self._system.now)
        self._sinks = SinkGroup([*sinks, self._callbacks])
        self._microphone: ReconnectingMicrophone | None = None
        self._stopping = False
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._conditioner: Conditioner | None = None
        self._health = SignalHealth(self.spotter.sample_rate)
        self._losses = LossReport(self._notify, sample_rate=self.spotter.sample_rate)
        self._n_detections = self._lost = self._clipped = 0

    def __setattr__(self, name: str, value: object) -> None:
        if name in REMOVED_HOOKS:
            raise ConfigError(
                f"Listener.{name}: replaced by Listener(spotter, sinks=[...]) with a kws.Sink"
            )
        super().__setattr__(name, value)

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

    def __iter__(self) -> Iterator[Detection]:
        """Yield detections until `stop` is called; see `detections`."""
        return self.detections()

    @property
    def microphone(self) -> Source | None:
        """The open microphone; None while it is lost.

        Raises
        ------
        DeviceError
            If the listener is not open.
        """
        return self._open_microphone().source

    @property
    def statistics(self) -> ListenerStatistics:
        """Counts since the microphone was opened."""
        microphone = self._microphone
        return ListenerStatistics(
            audio_s=self.spotter.time_s,
            detections=self._n_detections,
            lost_samples=self._lost,
            overflows=microphone.overflows if microphone else 0,
            losses=microphone.n_losses if microphone else 0,
            clipped_samples=self._clipped,
            dropped_callbacks=self._callbacks.dropped,
        )

    def on(self, keyword: str, callback: Callback) -> None:
        """Call `callback(detection)` whenever `keyword` is detected.

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
        """Call `callback(detection)` whenever any keyword is detected."""
        self._callbacks.register(None, callback)

    def open(self) -> None:
        """Open the microphone and start capturing.

        Raises
        ------
        DeviceError
            If the device cannot be found or opened, or the listener is open already.
        """
        if self._microphone is not None and not self._microphone.closed:
            raise DeviceError("the listener is open already; close it before opening it again")
        self.spotter.reset()
        self._stopping = False
        self._reset_counts()
        self._microphone = ReconnectingMicrophone(
            self._device,
            sample_rate=self.spotter.sample_rate,
            config=self._config,
            notify=self._notify,
            system=self._system,
        )
        try:
            self._microphone.open(self._sinks.poll)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the microphone and the sinks, within half a second; waiting callbacks finish.

        As with `stop`, a `wait` in another thread returns.
        """
        self.stop()
        deadline = time.monotonic() + CLOSE_S
        try:
            if self._microphone is not None:
                self._microphone.close()
        finally:
            self._sinks.close(max(LEAST_SINK_S, deadline - time.monotonic()))

    def stop(self) -> None:
        """Make `wait` return within 0.1 s; call it from any thread, callback or signal handler."""
        self._stopping = True

    def wait(self, timeout_s: float | None = None) -> None:
        """Listen until `stop` is called or `timeout_s` has passed.

        Raises
        ------
        DeviceError
            If the device is lost and `CaptureConfig.reconnect` is off.
        """
        for _ in self.detections(timeout_s):
            pass

    def detections(self, timeout_s: float | None = None) -> Iterator[Detection]:
        """Yield detections as they are made; otherwise like `wait`."""
        microphone = self._open_microphone()
        ends = None if timeout_s is None else self._system.now() + timeout_s
        try:
            while not self._stopping:
                left = POLL_S if ends is None else ends - self._system.now()
                if left <= 0:
                    return
                chunk = microphone.read(min(POLL_S, left))
                self._sinks.poll()
                self._losses.poll(self._system.now(), overflows=microphone.overflows)
                if chunk is not None:
                    yield from self._take(chunk)
                elif microphone.lost:
                    # Now, and not at the return, maybe hours later: it may hold the end of a word.
                    yield from self._finish_resampling()
        finally:
            # Stream time goes on while the device is away, however the waiting ends.
            away = round(microphone.take_gap_s() * self.spotter.sample_rate)
            if away:
                self._skip(away)

    def _take(self, chunk: AudioChunk) -> list[Detection]:
        """Return the detections in a chunk of audio."""
        rate = self.spotter.sample_rate
        found = []
        if chunk.cut:
            dropped = round(chunk.dropped * rate / chunk.rate)
            self._losses.drop(dropped)
            found += self._skip(dropped + round(chunk.gap_s * rate))
        if chunk.status_text is not None:
            self._notify("returned", chunk.status_text)
        if self._conditioner is None:
            self._conditioner = Conditioner(chunk.rate, rate, gain_db=self._config.gain_db)
        samples = self._conditioner.push(chunk.samples)
        return found + self._process(samples, self._conditioner)

    def _process(self, samples: NDArray[np.int16], conditioner: Conditioner) -> list[Detection]:
        """Return the detections in samples from the conditioner."""
        clipped, conditioner.clipped = conditioner.clipped, 0
        self._clipped += clipped
        if len(samples):
            self._sinks.samples(samples)
        hint = self._health.push(samples, clipped)
        if hint is not None:
            self._notify(*hint)
        found = self.spotter.process(samples)
        self._n_detections += len(found)
        for detection in found:
            self._sinks.detection(detection)
        return found

    def _finish_resampling(self) -> list[Detection]:
        """Return the detections in the samples that the resampler still holds back."""
        conditioner, self._conditioner = self._conditioner, None
        if conditioner is None:
            return []
        return self._process(conditioner.finish(), conditioner)

    def _skip(self, n_samples: int) -> list[Detection]:
        """Advance over missing audio; 0 is a gap of unknown length. Return detections before it."""
        found = self._finish_resampling()
        self._lost += n_samples
        self.spotter.skip(n_samples)
        self._sinks.gap(n_samples)
        return found

    def _notify(self, kind: str, text: str) -> None:
        logger.warning("%s", text)
        self._sinks.status(ListenerEvent(kind, text, self.spotter.time_s))

    def _open_microphone(self) -> ReconnectingMicrophone:
        if self._microphone is None or self._microphone.closed:
            raise DeviceError("the listener is not open; use it in a with statement")
        return self._microphone
