"""One run of `kws-listen` over one input, from the first sample to the last sink."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.audio.capture_config import CaptureConfig
from kws.audio.files import read_file, read_pcm
from kws.audio.source import Source
from kws.cli.output import Output, say
from kws.decision.policy import Detection
from kws.errors import AudioError
from kws.live.command import CommandRunner
from kws.live.listener import Listener
from kws.live.sinks import Sink, SinkGroup
from kws.live.systemd import ServiceNotifier
from kws.spotter import KeywordSpotter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


logger = logging.getLogger(__name__)
# After an interrupt, commands may run on for so long before they are left running.
CLOSE_S = 0.3
# While commands are waited for.
DRAIN_POLL_S = 0.05


class RunCounts(Sink):
    """Counts of a run: of the listener if there is one, else of the samples that pass by."""

    def __init__(self, spotter: KeywordSpotter) -> None:
        self._spotter = spotter
        self._n_samples = self._n_detections = self._gated_hops = 0
        self.listener: Listener | None = None

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Count samples."""
        self._n_samples += len(samples)

    def detection(self, detection: Detection) -> None:
        """Count a detection."""
        self._n_detections += 1

    def counts(self) -> dict[str, Any]:
        """Return the counts of the summary."""
        # The spotter forgets its own at the end of a file.
        self._gated_hops = max(self._gated_hops, self._spotter.gated_hops)
        counts: dict[str, Any] = {"audio_s": self._n_samples / self._spotter.sample_rate}
        counts.update(detections=self._n_detections, lost_samples=0)
        if self.listener is not None:
            counts = self.listener.statistics._asdict()
        counts.update(audio_s=round(counts["audio_s"], 3), gated_hops=self._gated_hops)
        return counts

    def state(self) -> dict[str, Any]:
        """Return the counts, and whether there is a microphone or another input."""
        listening = self.listener is None or self.listener.microphone is not None
        return {**self.counts(), "listening": listening}


class Session:
    """One run over one input, to its end or until `check_stop` raises `KeyboardInterrupt`.

    The sinks get everything, in order; `output`, `counts` and `command` are among them. At the end
    of a file or pipe the commands that still run are waited for.
    """

    def __init__(
        self,
        spotter: KeywordSpotter,
        *,
        output: Output,
        counts: RunCounts,
        sinks: Sequence[Sink],
        check_stop: Callable[[], None],
        command: CommandRunner | None = None,
    ) -> None:
        self._spotter = spotter
        self._output = output
        self._counts = counts
        self._sinks = sinks
        self._group = SinkGroup(sinks)
        self._check_stop = check_stop
        self._command = command
        self.started = False
        """True once there is audio, and so a summary."""

    def read(self, source: str, *, realtime: bool) -> None:
        """Process a file or, for ``-``, standard input."""
        if source == "-":
            # The program that feeds the pipe may wait for this line.
            self._announce(input=source)
        try:
            for chunk in self._chunks(source, realtime=realtime):
                self.started = True
                self._announce(input=source)
                self._group.samples(chunk)
                self._pass_on(self._spotter.process(chunk))
                self._counts.counts()
                self._poll()
            self._pass_on(self._spotter.flush())
            self._wait_for_commands()
        finally:
            self._group.close(CLOSE_S)

    def listen_live(self, device: str | None, config: CaptureConfig) -> None:
        """Listen to a microphone until interrupted."""
        service = ServiceNotifier.from_environment()
        sinks = [*self._sinks, service, _Stopper(self._check_stop)]
        listener = self._counts.listener = Listener(
            self._spotter, device, config=config, sinks=sinks
        )
        with listener:
            source = listener.microphone
            assert source is not None
            service.ready(f"listening to {self._introduce(source, config)}")
            listener.wait()

    def _introduce(self, source: Source, config: CaptureConfig) -> str:
        """Print what was opened, and return it."""
        opened = describe(source, config, self._spotter.sample_rate)
        # Set first: a program that reads the announcement may end us at the same moment.
        self.started = True
        self._announce(input=source.device.name, rate=source.rate, channels=source.n_channels)
        if not self._output.as_json:
            say(f"listening to {opened} for: {', '.join(self._spotter.keywords)}")
            if sys.stderr.isatty():
                say("Ctrl-C ends")
        return opened

    def _announce(self, **details: Any) -> None:
        opened = self._spotter.model.opened
        self._output.announce(
            model=self._spotter.manifest.name,
            mode=self._spotter.model.mode,
            runtime=f"{opened.runtime} {opened.runtime_version}",
            **details,
        )

    def _pass_on(self, detections: list[Detection]) -> None:
        for detection in detections:
            self._group.detection(detection)

    def _poll(self) -> None:
        self._group.poll()
        self._check_stop()

    def _chunks(self, source: str, *, realtime: bool) -> Iterator[NDArray[np.int16]]:
        """Yield the samples of a file or of standard input."""
        if source == "-":
            if sys.stdin is None:
                raise AudioError("stdin: expected raw 16 kHz s16le PCM, got a closed one")
            yield from read_pcm(sys.stdin.buffer, poll=self._poll)
            return
        rate = self._spotter.sample_rate
        started = time.monotonic()
        n_samples = 0
        for chunk in read_file(Path(source), sample_rate=rate, chunk_samples=rate // 10):
            n_samples += len(chunk)
            if realtime:
                time.sleep(max(0.0, started + n_samples / rate - time.monotonic()))
            yield chunk

    def _wait_for_commands(self) -> None:
        """Wait for the commands that still run: each ends on its own or at its time-out."""
        log_at = time.monotonic() + 1
        while self._command is not None and self._command.n_running:
            if time.monotonic() >= log_at:
                log_at = math.inf
                logger.info(
                    "--exec: waiting for %d command(s) that still run", self._command.n_running
                )
            time.sleep(DRAIN_POLL_S)
            self._poll()


class _Stopper(Sink):
    """Ends a listener by an exception from its polling."""

    def __init__(self, check_stop: Callable[[], None]) -> None:
        self._check_stop = check_stop

    def poll(self) -> None:
        """Raise if the run is to end."""
        self._check_stop()


def describe(source: Source, config: CaptureConfig, wanted: int) -> str:
    """Return what was opened, and how it is converted."""
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
