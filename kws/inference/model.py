"""The interface of a model, and what its streaming and window forms have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ModelError
from kws.inference.interpreter import Tensor, open_model
from kws.inference.quantization import FloatArray, FrameQuantizer, dequantize
from kws.manifest import ModelManifest, StreamForm, WindowForm


class PosteriorModel(ABC):
    """A model that turns frames into posteriors, in one of its two forms.

    A form implements `push`, `reset` and `_predict`, and calls `_bind` once it knows its tensors.

    Parameters
    ----------
    manifest : ModelManifest
        The model; the SHA-256 of the form's file is checked.
    form : WindowForm or StreamForm
        One of the manifest's.
    hop_frames : int
        Frames from one window to the next.
    **settings
        ``runtime``, ``kernels`` and ``n_threads`` of `kws.inference.interpreter.open_model`.

    Raises
    ------
    KwsError
        If there is no such form, its file or tensors do not match the manifest, or the hop does
        not fit.
    """

    mode: str

    def __init__(
        self,
        manifest: ModelManifest,
        form: WindowForm | StreamForm,
        *,
        hop_frames: int,
        **settings: Any,
    ) -> None:
        self._where = str(manifest.path.parent / form.file)
        self.opened = open_model(manifest.read_form(form), where=self._where, **settings)
        self.window_frames = manifest.window.window_frames
        self.hop_frames = hop_frames
        self._manifest = manifest
        self._n_bands = manifest.frontend.n_bands
        self._no_posteriors = np.zeros((0, len(manifest.labels)), dtype=np.float32)
        self._invoke: Callable[[], Any] = self.opened.interpreter.invoke

    def time_invoke(self, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace the interpreter's `invoke` by ``around(invoke)``, to time or record it."""
        self._invoke = around(self._invoke)

    def _bind(self, given: Tensor, wanted: Tensor, *, n_frames: int) -> None:
        """Check input and output, and make arrays on their memory."""
        for tensor, role, shape in (
            (given, "input", (1, *self._manifest.frontend.shape(n_frames))),
            (wanted, "output", (1, len(self._manifest.labels))),
        ):
            check_tensor(tensor, role=role, shape=shape, manifest=self._manifest, where=self._where)
        self._quantizer = FrameQuantizer(
            mean=self._manifest.frontend.mean,
            std=self._manifest.frontend.std,
            scale=given.scale,
            zero_point=given.zero_point,
            dtype=given.dtype,
        )
        self._input_memory = self.opened.memory(given).reshape(1, n_frames, self._n_bands)
        self._posterior = posterior_reader(wanted, self.opened.memory(wanted))

    @abstractmethod
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

    def predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior of one window, without touching the stream's state.

        It uses the same interpreter: do not call it while another thread runs `push`.

        Parameters
        ----------
        window : ndarray of float32, shape (window_frames, n_bands) or (window_frames,)
            Features as the front end makes them, not normalised; the samples of a waveform.

        Returns
        -------
        posterior : ndarray of float32, shape (n_labels,)
            In the order of the manifest's labels, 0..1.

        Raises
        ------
        AudioError
            If the shape is wrong, or a value is not finite.
        """
        shape = self._manifest.frontend.shape(self.window_frames)
        if window.shape != shape:
            raise AudioError(f"window: expected features {shape}, got {window.shape}")
        if not np.isfinite(window).all():
            raise AudioError("window: expected finite features, got NaN or infinity")
        return self._predict(window)

    @abstractmethod
    def reset(self) -> None:
        """Forget all frames."""

    @abstractmethod
    def _predict(self, window: FloatArray) -> FloatArray:
        """Return the posterior of one window of the right shape and finite values."""

    def _check_frames(self, frames: FloatArray) -> None:
        if frames.ndim != 2 or frames.shape[1] != self._n_bands:
            raise AudioError(
                f"frames: expected shape (n_frames, {self._n_bands}), got {frames.shape}"
            )

    def _stacked(self, posteriors: list[FloatArray]) -> FloatArray:
        if len(posteriors) == 1:
            return posteriors[0][None]
        return np.stack(posteriors) if posteriors else self._no_posteriors.copy()


def check_tensor(
    tensor: Tensor, *, role: str, shape: tuple[int, ...], manifest: ModelManifest, where: str
) -> None:
    """Raise `ModelError` unless the tensor has this shape and is int8 or float32."""
    if tensor.shape != shape:
        raise ModelError(
            f"{where}: expected the {role} {shape} of {manifest.path.name}, got {tensor.shape}"
        )
    if tensor.dtype not in (np.int8, np.float32):
        raise ModelError(
            f"{where}: expected an int8 or float32 {role}, got {np.dtype(tensor.dtype)}"
        )


def posterior_reader(tensor: Tensor, memory: NDArray[Any]) -> Callable[[], FloatArray]:
    """Return a function that reads an output ``(1, n_labels)`` as a new posterior, 0..1."""
    if not tensor.scale:
        output = memory[0]
        return lambda: np.array(output, dtype=np.float32)
    # A table of all int8 values, indexed by their bits read as uint8.
    values = np.arange(256, dtype=np.uint8).view(np.int8)
    table = dequantize(values, scale=tensor.scale, zero_point=tensor.zero_point)
    # `take` rather than a lambda around it: one call less at every hop.
    return partial(cast(Any, table.take), memory[0].view(np.uint8))
