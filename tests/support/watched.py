"""A connection or a listener on made-up audio, with a note of all that it gave and told."""

from __future__ import annotations

import numpy as np

from kws import KeywordSpotter
from kws.audio.capture_config import CaptureConfig
from kws.audio.chunk import Piece
from kws.audio.reconnect import Connection
from kws.live.listener import Listener, ListenerEvent
from support.fake_audio import RATE, FakeAudio

# The fake device's blocks, unless a test says otherwise.
BLOCK_S = 0.05


class WatchedConnection:
    """A connection, what it delivered, and what it told, with the times."""

    def __init__(self, audio: FakeAudio, wanted: int | str | None = None, **config: object) -> None:
        self.audio = audio
        self.told: list[tuple[float, str, str]] = []
        self.pieces: list[tuple[float, Piece]] = []
        self.connection = Connection(
            wanted,
            sample_rate=16_000,
            config=CaptureConfig(**config),
            tell=lambda kind, text: self.told.append((audio.time.now_s, kind, text)),
            system=audio,
        )

    def read(self, until_s: float, *, timeout_s: float = 0.25) -> None:
        """Go on until then."""
        while self.audio.time.now_s < until_s:
            piece = self.connection.read(min(timeout_s, until_s - self.audio.time.now_s))
            if piece is not None:
                self.pieces.append((self.audio.time.now_s, piece))

    @property
    def heard_s(self) -> float:
        """Audio time: what was delivered, dropped, or passed over."""
        return sum(
            (len(piece.samples) + piece.dropped) / piece.rate + piece.gap_s
            for _, piece in self.pieces
        )


def read_until_it_is_back(watched: WatchedConnection) -> None:
    """Go on until a lost device is open again; nothing of it has been read by then."""
    watched.read(2.05)
    while watched.connection.source is None:
        assert watched.connection.read(0.01) is None


class WatchedListener:
    """A listener, what it told and what it passed on."""

    def __init__(self, spotter: KeywordSpotter, audio: FakeAudio, **config: object) -> None:
        self.audio = audio
        self.spotter = spotter
        self.listener = Listener(spotter, config=CaptureConfig(**config), system=audio)
        self.events: list[tuple[float, ListenerEvent]] = []
        self.ticks_s: list[float] = []
        self.gaps: list[int] = []
        self.n_samples = 0
        self.busy_s = 0.0
        self.listener.on_event = lambda event: self.events.append((audio.time.now_s, event))
        self.listener.on_tick = lambda: self.ticks_s.append(audio.time.now_s)
        self.listener.on_gap = self.gaps.append
        self.listener.on_samples = self._on_samples

    def _on_samples(self, samples: np.ndarray) -> None:
        self.n_samples += len(samples)
        if self.busy_s:
            self.audio.time.take(self.busy_s)

    def kinds(self) -> list[str]:
        return [event.kind for _, event in self.events]

    def check_counts(self) -> None:
        """Check that time is made of what was heard and what is missing, to the sample."""
        statistics = self.listener.statistics
        assert sum(self.gaps) == statistics.lost_samples
        assert round(statistics.audio_s * RATE) == self.n_samples + statistics.lost_samples
