"""Where samples and detections of `kws-listen` go beside standard output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kws.cli.actions import CommandRunner
from kws.cli.gauges import CpuGauge, LevelGauge
from kws.decision import Detection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.cli.meter import Meter
    from kws.recorder import DetectionRecorder


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
        if self._recorder is not None:
            self._recorder.keep(detection)

    def tend(self, counts: Callable[[], dict[str, Any]]) -> None:
        """Do what is due; many times a second."""
        if self._command is not None:
            self._command.tend()
        if self._meter is not None:
            now = counts()
            lost, losses = now["lost_samples"], now.get("losses", 0)
            self._meter.show_trouble(f"{lost} sample(s) lost, {losses} loss(es) of the device")

    def gauges(self) -> tuple[float, float]:
        """Return level in dB and CPU in percent of a core, since the last call."""
        return self._level.read(), self._cpu.read()

    def close(self) -> None:
        """End what was begun: the panel first, so that the rest can say something."""
        if self._meter is not None:
            self._meter.close()
        if self._recorder is not None:
            self._recorder.flush()
        if self._command is not None:
            self._command.close(0.4)
