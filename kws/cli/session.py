"""One run of `kws-listen` over one input: detections as they come, and the summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import program
from kws.cli.actions import CommandRunner
from kws.decision import Detection
from kws.spotter import KeywordSpotter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.cli.meter import Meter


class Session:
    """One run over one input: prints detections and, at the end, the summary."""

    def __init__(
        self,
        spotter: KeywordSpotter,
        *,
        command: CommandRunner | None,
        meter: Meter | None,
        as_json: bool,
    ) -> None:
        self._spotter = spotter
        self._command = command
        self._meter = meter
        self._as_json = as_json
        self._audio_s = 0.0
        self._n_detections = 0
        self._lost_samples = 0
        self._announced = False
        self.started = False
        """True once there is audio: from then on there is something to sum up."""

    def read(self, source: str, *, realtime: bool) -> None:
        """Work through a file or, for ``-``, standard input."""
        if source == "-":
            # Whoever feeds the pipe may wait for this line.
            self._announce(input=source)
        for chunk in _chunks(source, realtime=realtime, sample_rate=self._spotter.sample_rate):
            self._announce(input=source)
            self.started = True
            if self._meter is not None:
                self._meter.show_level(chunk)
            self._audio_s += len(chunk) / self._spotter.sample_rate
            self._emit(self._spotter.process(chunk))
        self._emit(self._spotter.flush())

    def listen_live(self, device: str | None) -> None:
        """Listen to a microphone until interrupted."""
        from kws.listener import Listener

        listener = Listener(self._spotter, device)
        if self._meter is not None:
            listener.on_samples = self._meter.show_level
        with listener:
            microphone = listener.microphone
            rate = microphone.rate
            self._announce(input=microphone.device.name, rate=rate)
            self.started = True
            if not self._as_json:
                words = ", ".join(self._spotter.keywords)
                say(f"listening to {microphone.device.name} at {rate} Hz for: {words}")
                say("Ctrl-C ends")
            try:
                for detection in listener.detections():
                    self._emit([detection])
            finally:
                statistics = listener.statistics
                self._audio_s = statistics.audio_s
                self._lost_samples = statistics.lost_samples

    def summarise(self) -> None:
        """Print the one summary line."""
        if self._as_json:
            program.print_json(
                {
                    "type": "summary",
                    "audio_s": round(self._audio_s, 3),
                    "detections": self._n_detections,
                    "lost_samples": self._lost_samples,
                }
            )
            return
        say(
            f"{self._audio_s:.1f} s of audio, {self._n_detections} detection(s), "
            f"{self._lost_samples} sample(s) lost"
        )

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
            if self._command is not None:
                self._command.run(detection)

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


def _chunks(source: str, *, realtime: bool, sample_rate: int) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of a file or of standard input."""
    from kws import audio_file

    if source == "-":
        yield from audio_file.read_pcm(sys.stdin.buffer)
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
