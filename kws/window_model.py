"""A model that is run on the whole last window at every hop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ModelError
from kws.manifest import ModelManifest
from kws.posterior_model import (
    PosteriorReader,
    check_frames,
    check_tensor,
    check_window,
    frame_quantizer,
    open_form,
)
from kws.quantization import FloatArray

# Hops that fit behind a window before its frames are moved back to the start of the buffer.
SPARE_HOPS = 16


class WindowModel:
    """Run the window form of a model.

    Parameters
    ----------
    manifest : ModelManifest
        The model; its file is read, and refused unless its SHA-256 fits.
    hop_frames : int
        Frames from one window to the next.
    runtime, kernels, n_threads
        See `kws.interpreter.open_model`.

    Raises
    ------
    ManifestError
        If the file is not the manifest's.
    ModelError
        If the tensors do not fit the manifest.
    """

    mode = "window"

    def __init__(
        self,
        manifest: ModelManifest,
        *,
        hop_frames: int,
        runtime: str | None = None,
        kernels: str = "default",
        n_threads: int = 1,
    ) -> None:
        self.opened, where = open_form(
            manifest, manifest.window, runtime=runtime, kernels=kernels, n_threads=n_threads
        )
        self.window_frames = manifest.window.window_frames
        self.hop_frames = hop_frames
        self._n_mels = manifest.frontend.n_mels
        self._n_labels = len(manifest.labels)
        inputs, outputs = self.opened.inputs, self.opened.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{where}: expected one input and one output, got {len(inputs)} and {len(outputs)}"
            )
        shapes = (1, self.window_frames, self._n_mels), (1, self._n_labels)
        self._input = check_tensor(
            inputs[0], role="input", shape=shapes[0], manifest=manifest, where=where
        )
        self._output = check_tensor(
            outputs[0], role="output", shape=shapes[1], manifest=manifest, where=where
        )
        self._quantizer = frame_quantizer(manifest, self._input)
        self._reader = PosteriorReader(self._output)
        # Room for the window that is being filled and some hops behind it: frames are converted
        # once, and moved only when the end is reached.
        rows = self.window_frames + SPARE_HOPS * hop_frames
        self._buffer = np.zeros((1, rows, self._n_mels), dtype=self._input.dtype)
        self._interpreter = self.opened.interpreter
        self._input_memory = self.opened.memory(self._input)
        self._output_memory = self.opened.memory(self._output)
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next posterior comes after a full window."""
        self._start = 0
        self._end = 0

    def push(self, frames: FloatArray) -> FloatArray:
        """Return the posteriors of the windows that these frames complete.

        Parameters
        ----------
        frames : ndarray of float32, shape (n_frames, n_mels)
            Log-mel frames that follow directly on the previous call's.

        Returns
        -------
        posteriors : ndarray of float32, shape (n_hops, n_labels)
            One row a hop, 0..1; no row while the first window is not full.
        """
        check_frames(frames, self._n_mels)
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
        if not posteriors:
            return np.zeros((0, self._n_labels), dtype=np.float32)
        return np.stack(posteriors)

    def predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior of one window, apart from any stream.

        Parameters
        ----------
        window : ndarray of float32, shape (window_frames, n_mels)
            Natural log of mel energy, not normalised.

        Returns
        -------
        posterior : ndarray of float32, shape (n_labels,)
            In the order of the manifest's labels, 0..1.

        Raises
        ------
        AudioError
            If the shape is another one, or a value is not finite.
        """
        check_window(window, (self.window_frames, self._n_mels))
        tensor = np.zeros(self._input.shape, dtype=self._input.dtype)
        self._quantizer.write(window, tensor)
        return self._run(tensor)

    def _append(self, frames: FloatArray) -> None:
        n = len(frames)
        if self._end + n > self._buffer.shape[1]:
            # With a hop longer than the window, the next one may start behind the end.
            kept = max(0, self._end - self._start)
            self._buffer[:, :kept] = self._buffer[:, self._end - kept : self._end].copy()
            self._start, self._end = self._start - (self._end - kept), kept
        if n:
            self._quantizer.write(frames, self._buffer[0, self._end : self._end + n])
        self._end += n

    def _run(self, window: NDArray[Any]) -> FloatArray:
        np.copyto(self._input_memory, window)
        self._interpreter.invoke()
        return self._reader(self._output_memory)
