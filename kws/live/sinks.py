"""Where samples and detections of `kws-listen` go beside standard output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kws.cli.gauges import CpuGauge, LevelGauge
from kws.decision.policy import Detection
from kws.live.command import CommandRunner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.cli.meter import Meter
    from kws.live.recorder import DetectionRecorder


class Outlets:
    """The command of `--exec`, the panel of `--meter`, the clips of `--record`: each if wanted.

    Parameters
    ----------
    command, meter, recorder
        None where it is not wanted.
    """

    def __init__(
        self,
        *,
        command: CommandRunner | None = None,
        meter: Meter | None = None,
        recorder: DetectionRecorder | None = None,
    ) -> None:
        self._command = command
        self._meter = meter
        self._recorder = recorder
        self._level, self._cpu = LevelGauge(), CpuGauge()

    def hear(self, samples: NDArray[np.int16]) -> None:
        """Pass on the samples that go to the spotter."""
        self._level.push(samples)
        if self._meter is not None:
            self._meter.show_level(samples)
        if self._recorder is not None:
            self._recorder.push(samples)

    def miss(self, n_samples: int) -> None:
        """Pass on that audio is missing here."""
        if self._recorder is not None:
            self._recorder.lost(n_samples)

    def act(self, detection: Detection) -> None:
        """Pass on a detection."""
        if self._command is not None:
            self._command.run(detection)
        if self._meter is not None:
            self._meter.show_detection(detection)

    def keep(self, detection: Detection) -> None:
        """Let the audio of a detection be kept: before `hear` and `miss` are told what follows."""
        if self._recorder is not None:
            self._recorder.keep(detection)

    def tend(self, counts: Callable[[], dict[str, Any]], *, listening: bool) -> None:
        """Do what is due; many times a second, also where there is no microphone just now."""
        if self._command is not None:
            self._command.tend()
        if self._meter is not None:
            now = counts()
            lost, losses = now["lost_samples"], now.get("losses", 0)
            trouble = f"{lost} sample(s) lost, {losses} loss(es) of the device"
            if not listening:
                trouble = f"no microphone; {trouble}"
            self._meter.show_state(now["audio_s"], trouble=trouble)

    def gauges(self) -> tuple[float, float]:
        """Return level in dB and CPU in percent of a core, since the last call."""
        return self._level.read(), self._cpu.read()

    def finish(self) -> None:
        """Bring what was begun to its end, and wait for commands: at the end of a recording."""
        self._put_away()
        if self._command is not None:
            self._command.finish()

    def close(self, timeout_s: float) -> None:
        """End what was begun; commands may go on for `timeout_s`, then they are left alone."""
        self._put_away()
        if self._command is not None:
            self._command.close(timeout_s)

    def _put_away(self) -> None:
        """Take the panel away, so that the rest can say something, and write the last clips."""
        if self._meter is not None:
            self._meter.close()
        if self._recorder is not None:
            self._recorder.flush()
