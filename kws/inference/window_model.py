"""The window form of a model: it takes the whole last window at every hop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ModelError
from kws.inference.model import PosteriorModel
from kws.inference.quantization import FloatArray
from kws.manifest import ModelManifest

# Hops that fit behind a window before it is moved back to the start of the buffer.
SPARE_HOPS = 16


class WindowModel(PosteriorModel):
    """Run the window form of a model (see `PosteriorModel` for the parameters)."""

    mode = "window"

    def __init__(self, manifest: ModelManifest, *, hop_frames: int, **settings: Any) -> None:
        super().__init__(manifest, manifest.window, hop_frames=hop_frames, **settings)
        inputs, outputs = self.opened.inputs, self.opened.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{self._where}: expected one input and one output, got "
                f"{len(inputs)} and {len(outputs)}"
            )
        self._bind(inputs[0], outputs[0], n_frames=self.window_frames)
        # Room for the current window and some hops behind it: each frame is quantized once, and
        # moved only when the end is reached.
        rows = self.window_frames + SPARE_HOPS * hop_frames
        self._buffer = np.zeros((1, rows, self._n_bands), dtype=self._input_memory.dtype)
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next posterior comes after a full window."""
        self._start = 0
        self._end = 0

    def push(self, frames: FloatArray) -> FloatArray:
        """Return the posteriors that these frames complete (see `PosteriorModel.push`)."""
        self._check_frames(frames)
        posteriors = []
        taken = 0
        while True:
            missing = self._start + self.window_frames - self._end
            piece = frames[taken : taken + missing]
            self._append(piece)
            taken += len(piece)
            if len(piece) < missing:
                break
            posteriors.append(self._run(self._buffer[:, self._start : self._end]))
            self._start += self.hop_frames
            if taken == len(frames):
                break
        return self._stacked(posteriors)

    def _predict(self, window: FloatArray) -> FloatArray:
        tensor = np.zeros(self._input_memory.shape, dtype=self._input_memory.dtype)
        self._quantizer.write(window, tensor)
        return self._run(tensor)

    def _append(self, frames: FloatArray) -> None:
        n = len(frames)
        if self._end + n > self._buffer.shape[1]:
            # With a hop longer than the window, the next window may start behind the end.
            kept = max(0, self._end - self._start)
            self._buffer[:, :kept] = self._buffer[:, self._end - kept : self._end].copy()
            self._start, self._end = self._start - (self._end - kept), kept
        if n:
            self._quantizer.write(frames, self._buffer[0, self._end : self._end + n])
        self._end += n

    def _run(self, window: NDArray[Any]) -> FloatArray:
        self._input_memory[...] = window
        self._invoke()
        return self._posterior()
