"""One run of `kws-listen` over one input: detections as they come, and the summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import program
from kws.decision.policy import Detection
from kws.errors import AudioError
from kws.live.sinks import Outlets
from kws.spotter import KeywordSpotter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.audio.audio_system import Source
    from kws.audio.capture_config import CaptureConfig
    from kws.live.listener import Listener, ListenerEvent


# From an interrupt to the summary, a sound server that hangs and commands that still run included;
# and what the commands have of it at least.
END_S = 0.5
LEAST_REST_S = 0.1


class Session:
    """One run over one input: prints detections and, at the end, the summary.

    Parameters
    ----------
    spotter : KeywordSpotter
        What listens.
    outlets : Outlets
        Where samples and detections go beside standard output.
    as_json : bool
        Print objects instead of lines.
    status_every_s : float, optional
        Print a status record so often; without it none.
    """

    def __init__(
        self,
        spotter: KeywordSpotter,
        *,
        outlets: Outlets,
        as_json: bool,
        status_every_s: float | None = None,
    ) -> None:
        self._spotter = spotter
        self._outlets = outlets
        self._as_json = as_json
        self._status_every_s = status_every_s
        self._status_at = time.monotonic()
        self._listener: Listener | None = None
        self._audio_s = 0.0
        self._n_detections = self._gated_hops = 0
        self._announced = False
        self._ending_since: float | None = None
        self.started = False
        """True once there is audio: from then on there is something to sum up."""

    def read(self, source: str, *, realtime: bool) -> None:
        """Work through a file or, for ``-``, standard input."""
        if source == "-":
            # Whoever feeds the pipe may wait for this line.
            self._announce(input=source)
        rate = self._spotter.sample_rate
        for chunk in _chunks(source, realtime=realtime, sample_rate=rate, on_wait=self._tick):
            self.started = True
            self._announce(input=source)
            self._outlets.hear(chunk)
            self._audio_s += len(chunk) / rate
            self._emit_and_keep(self._spotter.process(chunk))
            self._gated_hops = self._spotter.gated_hops
            self._tick()
        self._emit_and_keep(self._spotter.flush())
        self._outlets.finish()

    def listen_live(self, device: str | None, config: CaptureConfig) -> None:
        """Listen to a microphone until interrupted."""
        from kws.live.listener import Listener
        from kws.live.systemd import ServiceNotifier

        service = ServiceNotifier.from_environment()
        listener = self._listener = Listener(self._spotter, device, config=config)
        listener.on_samples = self._outlets.hear
        listener.on_gap = self._outlets.miss
        # Not when it is handed out: by then a gap may have been told.
        listener.on_detection = self._outlets.keep

        def tell(event: ListenerEvent) -> None:
            service.status(event.text)
            self._tell(event)

        def tick() -> None:
            service.alive()
            self._tick()

        listener.on_event, listener.on_tick = tell, tick
        try:
            with listener:
                source = listener.microphone
                assert source is not None
                service.ready(f"listening to {self._introduce(source, config)}")
                try:
                    for detection in listener.detections():
                        self._emit([detection])
                finally:
                    self._ending_since = time.monotonic()
        finally:
            service.stopping()

    def _introduce(self, source: Source, config: CaptureConfig) -> str:
        """Say what was opened, and return it."""
        opened = describe(source, config, self._spotter.sample_rate)
        # First: whoever reads that we listen may end us in the same moment.
        self.started = True
        self._announce(input=source.device.name, rate=source.rate, channels=source.n_channels)
        if not self._as_json:
            say(f"listening to {opened} for: {', '.join(self._spotter.keywords)}")
            if sys.stderr.isatty():
                say("Ctrl-C ends")
        return opened

    def rest_s(self) -> float:
        """Return how long the end may still take: a server that hangs has had its share."""
        gone_s = 0.0 if self._ending_since is None else time.monotonic() - self._ending_since
        return max(LEAST_REST_S, END_S - gone_s)

    def summarise(self) -> None:
        """Print the one summary line."""
        counts = self._counts()
        if self._as_json:
            program.print_json({"type": "summary", **counts})
            return
        say(
            f"{counts['audio_s']:.1f} s of audio, {counts['detections']} detection(s), "
            f"{counts['lost_samples']} sample(s) lost"
        )

    def _counts(self) -> dict[str, Any]:
        if self._listener is None:
            return {
                "audio_s": round(self._audio_s, 3),
                "detections": self._n_detections,
                "lost_samples": 0,
                "gated_hops": self._gated_hops,
            }
        statistics = self._listener.statistics._asdict()
        # A detection found in the moment of an interrupt was never printed.
        return {
            **statistics,
            "audio_s": round(statistics["audio_s"], 3),
            "detections": self._n_detections,
            "gated_hops": self._spotter.gated_hops,
        }

    def _emit_and_keep(self, detections: list[Detection]) -> None:
        for detection in detections:
            self._outlets.keep(detection)
        self._emit(detections)

    def _emit(self, detections: list[Detection]) -> None:
        for detection in detections:
            self._n_detections += 1
            if self._as_json:
                record = {
                    "type": "detection",
                    "keyword": detection.keyword,
                    "score": round(detection.score, 4),
                    "time_s": round(detection.time_s, 4),
                }
                program.print_json(record)
            else:
                print(
                    f"{detection.time_s:8.2f} s  {detection.keyword:<8} {detection.score:.2f}",
                    flush=True,
                )
            self._outlets.act(detection)

    def _tell(self, event: ListenerEvent) -> None:
        """Pass on what has happened to the microphone: for people, and for machines."""
        say(event.text)
        if self._as_json:
            program.print_json(
                {
                    "type": "status",
                    "event": event.kind,
                    "text": event.text,
                    "time_s": round(event.time_s, 3),
                }
            )

    def _tick(self) -> None:
        """Do what is due; many times a second."""
        listening = self._listener is None or self._listener.microphone is not None
        self._outlets.tend(self._counts, listening=listening)
        now = time.monotonic()
        if self._status_every_s is None or now - self._status_at < self._status_every_s:
            return
        self._status_at = now
        level_db, cpu_percent = self._outlets.gauges()
        record = {
            **self._counts(),
            "level_db": round(level_db, 1),
            "cpu_percent": round(cpu_percent, 2),
            "listening": listening,
        }
        if self._as_json:
            program.print_json({"type": "status", "event": "running", **record})
        else:
            say(
                f"{record['audio_s']:.0f} s, {record['detections']} detection(s), "
                f"{record['lost_samples']} sample(s) lost, level {level_db:.1f} dB, "
                f"CPU {cpu_percent:.1f} %"
            )

    def _announce(self, **details: Any) -> None:
        """Say, once, that listening has begun."""
        if self._as_json and not self._announced:
            opened = self._spotter.model.opened
            program.print_json(
                {
                    "type": "status",
                    "event": "listening",
                    "model": self._spotter.manifest.name,
                    "mode": self._spotter.model.mode,
                    "runtime": f"{opened.runtime} {opened.runtime_version}",
                    **details,
                }
            )
        self._announced = True


def describe(source: Source, config: CaptureConfig, wanted: int) -> str:
    """Return what was opened, and what is made of it."""
    parts = [f"{source.device.name} at {source.rate} Hz"]
    if config.channel is not None:
        parts.append(f"channel {config.channel} of {source.n_channels}")
    elif source.n_channels > 1:
        parts.append(f"the mean of {source.n_channels} channels")
    if source.rate != wanted:
        parts.append(f"resampled to {wanted} Hz")
    if config.gain_db:
        parts.append(f"{config.gain_db:+g} dB")
    return ", ".join(parts)


def _chunks(
    source: str, *, realtime: bool, sample_rate: int, on_wait: Callable[[], None]
) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of a file or of standard input, which may keep us waiting."""
    from kws.audio import files as audio_file

    if source == "-":
        if sys.stdin is None:
            raise AudioError("stdin: expected raw 16 kHz s16le PCM, got a closed one")
        yield from audio_file.read_pcm(sys.stdin.buffer, on_wait=on_wait)
        return
    size = sample_rate // 10 if realtime else audio_file.CHUNK_SAMPLES
    started = time.monotonic()
    n_samples = 0
    for chunk in audio_file.read_file(Path(source), sample_rate=sample_rate, chunk_samples=size):
        n_samples += len(chunk)
        if realtime:
            time.sleep(max(0.0, started + n_samples / sample_rate - time.monotonic()))
        yield chunk


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)
