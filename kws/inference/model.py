"""What both forms of a model share: the seam to the spotter, the input, the output, the checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ModelError
from kws.inference.interpreter import OpenModel, Tensor, open_model
from kws.inference.quantization import FloatArray, FrameQuantizer, dequantize
from kws.manifest import ModelManifest, StreamForm, WindowForm


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
        """Return the posterior ``(n_labels,)`` of one window of features."""


class FormModel(ABC):
    """What both forms do alike: open the file, take frames, read posteriors.

    A form adds `reset`, `_push` and `_predict`, and calls `_bind` once it knows its tensors.

    Parameters
    ----------
    manifest : ModelManifest
        The model; the form's file is read, and refused unless its SHA-256 fits.
    form : WindowForm or StreamForm
        One of the manifest's.
    hop_frames : int
        Frames from one window to the next.
    runtime, kernels, n_threads
        See `kws.inference.interpreter.open_model`.
    """

    mode: str

    def __init__(
        self,
        manifest: ModelManifest,
        form: WindowForm | StreamForm,
        *,
        hop_frames: int,
        runtime: str | None,
        kernels: str,
        n_threads: int,
    ) -> None:
        self._where = str(manifest.path.parent / form.file)
        self.opened = open_model(
            manifest.read_form(form),
            where=self._where,
            runtime=runtime,
            kernels=kernels,
            n_threads=n_threads,
        )
        self.window_frames = manifest.window.window_frames
        self.hop_frames = hop_frames
        self._manifest = manifest
        self._n_bands = manifest.frontend.n_bands
        self._n_labels = len(manifest.labels)
        self._interpreter = self.opened.interpreter

    def _bind(self, given: Tensor, wanted: Tensor, *, n_frames: int) -> None:
        """Check input and output, and lay arrays on them."""
        for tensor, role, shape in (
            (given, "input", (1, *self._manifest.frontend.shape(n_frames))),
            (wanted, "output", (1, self._n_labels)),
        ):
            check_tensor(tensor, role=role, shape=shape, manifest=self._manifest, where=self._where)
        self._quantizer = FrameQuantizer(
            mean=self._manifest.frontend.mean,
            std=self._manifest.frontend.std,
            scale=given.scale,
            zero_point=given.zero_point,
            dtype=given.dtype,
        )
        self._read = PosteriorReader(wanted)
        self._input_memory = self.opened.memory(given).reshape(1, n_frames, self._n_bands)
        self._output_memory = self.opened.memory(wanted)

    def push(self, frames: FloatArray) -> FloatArray:
        """Return the posteriors of the windows that these frames complete.

        Parameters
        ----------
        frames : ndarray of float32, shape (n_frames, n_bands)
            Features that follow directly on the previous call's.

        Returns
        -------
        posteriors : ndarray of float32, shape (n_hops, n_labels)
            One row a hop, 0..1; no row while the first window is not full.

        Raises
        ------
        AudioError
            If the frames have another number of bands.
        """
        check_frames(frames, self._n_bands)
        posteriors = self._push(frames)
        if not posteriors:
            return np.zeros((0, self._n_labels), dtype=np.float32)
        # One hop is the usual case, and needs no copy.
        return posteriors[0][None] if len(posteriors) == 1 else np.stack(posteriors)

    def predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior of one window, apart from any stream.

        The stream goes on afterwards as if nothing had been. It is the same interpreter: not for
        another thread while `push` runs.

        Parameters
        ----------
        window : ndarray of float32, shape (window_frames, n_bands) or (window_frames,)
            Features as the front end makes them, not normalised; of a waveform its samples.

        Returns
        -------
        posterior : ndarray of float32, shape (n_labels,)
            In the order of the manifest's labels, 0..1.

        Raises
        ------
        AudioError
            If the shape is another one, or a value is not finite.
        """
        check_window(window, self._manifest.frontend.shape(self.window_frames))
        return self._predict(window)

    @abstractmethod
    def reset(self) -> None:
        """Forget all frames."""

    @abstractmethod
    def _push(self, frames: FloatArray) -> list[FloatArray]:
        """Return the posteriors that these frames, of the right shape, complete."""

    @abstractmethod
    def _predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior of one window of the right shape and finite values."""


def check_tensor(
    tensor: Tensor, *, role: str, shape: tuple[int, ...], manifest: ModelManifest, where: str
) -> Tensor:
    """Return the tensor, which must be what the manifest says: this shape, int8 or float32."""
    if tensor.shape != shape:
        raise ModelError(
            f"{where}: {manifest.path.name} says that the {role} is {shape}, got {tensor.shape}"
        )
    if tensor.dtype not in (np.int8, np.float32):
        raise ModelError(
            f"{where}: expected an int8 or float32 {role}, got {np.dtype(tensor.dtype)}"
        )
    return tensor


class PosteriorReader:
    """Read a model's output ``(1, n_labels)`` as a posterior ``(n_labels,)``, 0..1."""

    def __init__(self, tensor: Tensor) -> None:
        self._table = None
        if tensor.scale:
            # All 256 values an int8 can have, in the order of its bits read as uint8.
            values = np.arange(256, dtype=np.uint8).view(np.int8)
            self._table = dequantize(values, scale=tensor.scale, zero_point=tensor.zero_point)

    def __call__(self, output: NDArray[Any]) -> FloatArray:
        """Return the posterior; the output is not kept."""
        if self._table is None:
            return np.array(output[0], dtype=np.float32)
        return np.asarray(self._table.take(output[0].view(np.uint8)))


def check_window(window: FloatArray, shape: tuple[int, ...]) -> None:
    """Raise `AudioError` unless `window` has this shape and finite values."""
    if window.shape != shape:
        raise AudioError(f"window: expected features {shape}, got {window.shape}")
    if not np.isfinite(window).all():
        raise AudioError("window: expected finite features, got NaN or infinity")


def check_frames(frames: FloatArray, n_bands: int) -> None:
    """Raise `AudioError` unless `frames` is ``(n_frames, n_bands)``."""
    if frames.ndim != 2 or frames.shape[1] != n_bands:
        raise AudioError(f"frames: expected shape (n_frames, {n_bands}), got {frames.shape}")
