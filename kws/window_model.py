"""A model that is run on the whole last window at every hop."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ModelError
from kws.interpreter import OpenModel, Tensor, open_model
from kws.manifest import ModelManifest
from kws.quantization import dequantize, quantize

FloatArray = NDArray[np.float32]
# Hops that fit behind a window before its frames are moved back to the start of the buffer.
SPARE_HOPS = 16


class PosteriorModel(Protocol):
    """What the spotter asks of a model, whichever form it has."""

    opened: OpenModel
    mode: str
    window_frames: int
    hop_frames: int

    def reset(self) -> None:
        """Forget all frames."""

    def push(self, frames: FloatArray) -> FloatArray:
        """Return the posteriors ``(n_hops, n_labels)`` that these frames complete."""

    def predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior ``(n_labels,)`` of one window of log-mel frames."""


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
        where = str(manifest.path.parent / manifest.window.file)
        content = manifest.read_form(manifest.window)
        self.opened = open_model(
            content, where=where, runtime=runtime, kernels=kernels, n_threads=n_threads
        )
        self.window_frames = manifest.window.window_frames
        self.hop_frames = hop_frames
        self._n_mels = manifest.frontend.n_mels
        self._n_labels = len(manifest.labels)
        self._input, self._output = _check_tensors(self.opened, manifest, where)
        self._mean = np.float32(manifest.frontend.mean)
        self._std = np.float32(manifest.frontend.std)
        # Room for the window that is being filled and some hops behind it: frames are converted
        # once, and moved only when the end is reached.
        rows = self.window_frames + SPARE_HOPS * hop_frames
        self._buffer = np.zeros((1, rows, self._n_mels), dtype=self._input.dtype)
        self._interpreter = self.opened.interpreter
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
            If the shape is another one.
        """
        expected = (self.window_frames, self._n_mels)
        if window.shape != expected:
            raise AudioError(f"window: expected log-mel frames {expected}, got {window.shape}")
        return self._run(self._to_input(window)[None])

    def _append(self, frames: FloatArray) -> None:
        n = len(frames)
        if self._end + n > self._buffer.shape[1]:
            # With a hop longer than the window, the next one may start behind the end.
            kept = max(0, self._end - self._start)
            self._buffer[:, :kept] = self._buffer[:, self._end - kept : self._end].copy()
            self._start, self._end = self._start - (self._end - kept), kept
        self._buffer[0, self._end : self._end + n] = self._to_input(frames)
        self._end += n

    def _to_input(self, frames: FloatArray) -> NDArray[Any]:
        normalised = (frames - self._mean) / self._std
        if self._input.scale == 0:
            return normalised
        return quantize(
            normalised,
            scale=self._input.scale,
            zero_point=self._input.zero_point,
            dtype=self._input.dtype,
        )

    def _run(self, window: NDArray[Any]) -> FloatArray:
        self._interpreter.set_tensor(self._input.index, window)
        self._interpreter.invoke()
        output: NDArray[Any] = self._interpreter.get_tensor(self._output.index)[0]
        if self._output.scale == 0:
            return output
        return dequantize(output, scale=self._output.scale, zero_point=self._output.zero_point)


def _check_tensors(opened: OpenModel, manifest: ModelManifest, where: str) -> tuple[Tensor, Tensor]:
    """Return the input and the output, which must be what the manifest says."""
    if len(opened.inputs) != 1 or len(opened.outputs) != 1:
        raise ModelError(
            f"{where}: expected one input and one output, got "
            f"{len(opened.inputs)} and {len(opened.outputs)}"
        )
    tensors = (opened.inputs[0], opened.outputs[0])
    shapes = (
        (1, manifest.window.window_frames, manifest.frontend.n_mels),
        (1, len(manifest.labels)),
    )
    for role, tensor, shape in zip(("input", "output"), tensors, shapes):
        if tensor.shape != shape:
            raise ModelError(
                f"{where}: {manifest.path.name} says that the {role} is {shape}, got {tensor.shape}"
            )
        if tensor.dtype not in (np.int8, np.float32):
            raise ModelError(
                f"{where}: expected an int8 or float32 {role}, got {np.dtype(tensor.dtype)}"
            )
    return tensors
