"""A microphone or a listener on simulated audio, with a record of everything it delivers."""

from __future__ import annotations

import numpy as np

from kws import KeywordSpotter
from kws.audio.capture_config import CaptureConfig
from kws.audio.reconnect import AudioChunk, ReconnectingMicrophone
from kws.decision.policy import Detection
from kws.live.listener import Listener, ListenerEvent
from kws.live.sinks import Sink
from support.fake_audio import RATE, FakeAudio

# Length of the fake device's blocks, unless a test says otherwise.
BLOCK_S = 0.05


class WatchedMicrophone:
    """A reconnecting microphone, with its chunks and notifications and their times."""

    def __init__(self, audio: FakeAudio, wanted: int | str | None = None, **config: object) -> None:
        self.audio = audio
        self.notified: list[tuple[float, str, str]] = []
        self.chunks: list[tuple[float, AudioChunk]] = []
        self.microphone = ReconnectingMicrophone(
            wanted,
            sample_rate=16_000,
            config=CaptureConfig(**config),
            notify=lambda kind, text: self.notified.append((audio.time.now_s, kind, text)),
            system=audio,
        )

    def read(self, until_s: float, *, timeout_s: float = 0.25) -> None:
        """Read until a time."""
        while self.audio.time.now_s < until_s:
            chunk = self.microphone.read(min(timeout_s, until_s - self.audio.time.now_s))
            if chunk is not None:
                self.chunks.append((self.audio.time.now_s, chunk))

    @property
    def stream_s(self) -> float:
        """Stream time: audio that was delivered or dropped, and gaps."""
        return sum(
            (len(chunk.samples) + chunk.dropped) / chunk.rate + chunk.gap_s
            for _, chunk in self.chunks
        )


def read_until_it_is_back(watched: WatchedMicrophone) -> None:
    """Read until a lost device is open again; none of its audio has been read by then."""
    watched.read(2.05)
    while watched.microphone.source is None:
        assert watched.microphone.read(0.01) is None


class RecordingSink(Sink):
    """Records what a listener passes on; its consumers may be slow."""

    def __init__(self, audio: FakeAudio) -> None:
        self._audio = audio
        self.events: list[tuple[float, ListenerEvent]] = []
        self.polls_s: list[float] = []
        self.gaps: list[int] = []
        self.order: list[tuple[str, float]] = []
        self.n_samples = 0
        self.busy_s = 0.0
        self.on_poll = lambda: None

    def samples(self, samples: np.ndarray) -> None:
        self.order.append(("samples", len(samples)))
        self.n_samples += len(samples)
        if self.busy_s:
            self._audio.time.take(self.busy_s)

    def gap(self, n_samples: int) -> None:
        self.order.append(("gap", n_samples))
        self.gaps.append(n_samples)

    def detection(self, detection: Detection) -> None:
        self.order.append(("detection", detection.time_s))

    def status(self, event: ListenerEvent) -> None:
        self.events.append((self._audio.time.now_s, event))

    def poll(self) -> None:
        self.polls_s.append(self._audio.time.now_s)
        self.on_poll()

    def kinds(self) -> list[str]:
        return [event.kind for _, event in self.events]


class WatchedListener(RecordingSink):
    """A listener and what it passes on."""

    def __init__(self, spotter: KeywordSpotter, audio: FakeAudio, **config: object) -> None:
        super().__init__(audio)
        self.audio = audio
        self.spotter = spotter
        self.listener = Listener(
            spotter, config=CaptureConfig(**config), sinks=[self], system=audio
        )

    def check_counts(self) -> None:
        """Check that stream time is the sum of samples and gaps, exactly."""
        statistics = self.listener.statistics
        assert sum(self.gaps) == statistics.lost_samples
        assert round(statistics.audio_s * RATE) == self.n_samples + statistics.lost_samples
