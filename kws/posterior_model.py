"""What both forms of a model share: the seam to the spotter, the input, the output, the checks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ModelError
from kws.interpreter import OpenModel, Tensor, open_model
from kws.manifest import ModelManifest, StreamForm, WindowForm
from kws.quantization import FloatArray, FrameQuantizer, dequantize


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


def open_form(
    manifest: ModelManifest,
    form: WindowForm | StreamForm,
    *,
    runtime: str | None,
    kernels: str,
    n_threads: int,
) -> tuple[OpenModel, str]:
    """Return an interpreter on one form of a model, and the file's name for error messages.

    Raises
    ------
    ManifestError
        If the file is not the manifest's.
    ModelError
        If the runtime cannot run it.
    """
    where = str(manifest.path.parent / form.file)
    content = manifest.read_form(form)
    opened = open_model(content, where=where, runtime=runtime, kernels=kernels, n_threads=n_threads)
    return opened, where


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


def frame_quantizer(manifest: ModelManifest, tensor: Tensor) -> FrameQuantizer:
    """Return what turns log-mel frames into this input."""
    return FrameQuantizer(
        mean=manifest.frontend.mean,
        std=manifest.frontend.std,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
        dtype=tensor.dtype,
    )


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


def check_window(window: FloatArray, shape: tuple[int, int]) -> None:
    """Raise `AudioError` unless `window` has this shape and finite values."""
    if window.shape != shape:
        raise AudioError(f"window: expected log-mel frames {shape}, got {window.shape}")
    if not np.isfinite(window).all():
        raise AudioError("window: expected finite log-mel frames, got NaN or infinity")


def check_frames(frames: FloatArray, n_mels: int) -> None:
    """Raise `AudioError` unless `frames` is ``(n_frames, n_mels)``."""
    if frames.ndim != 2 or frames.shape[1] != n_mels:
        raise AudioError(f"frames: expected shape (n_frames, {n_mels}), got {frames.shape}")
