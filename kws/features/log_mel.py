"""From frames of samples to log power and log-mel: window, FFT, filterbank, log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig

FloatArray = NDArray[np.float32]

# int16 full scale, so that energies do not depend on the sample format.
FULL_SCALE = 32_768.0
# From numpy 2 on, `rfft` can write into an existing array.
RFFT_HAS_OUT = int(np.__version__.partition(".")[0]) >= 2


def hann_window(n_samples: int) -> FloatArray:
    """Return the periodic Hann window, float32 ``(n_samples,)``, 0..1."""
    phase = 2 * np.pi * np.arange(n_samples) / n_samples
    return np.asarray(0.5 - 0.5 * np.cos(phase), dtype=np.float32)


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mel of Hz by the HTK formula (Young et al., The HTK Book, section 5.4)."""
    return np.asarray(1127.0 * np.log1p(hz / 700.0))


def mel_filterbank(config: FrontendConfig) -> FloatArray:
    """Return the triangular filters, float32 ``(n_fft // 2 + 1, n_mels)``, peak 1.

    Edges are equally spaced on the mel scale from `low_hz` to `high_hz`, and the
    triangles are straight on the mel scale, as in HTK and `tf.signal`.
    """
    n_bins = config.n_fft // 2 + 1
    low, high = hz_to_mel(np.array([config.low_hz, config.high_hz], dtype=np.float64))
    edges = np.linspace(low, high, config.n_mels + 2)
    bins = hz_to_mel(np.arange(n_bins) * config.sample_rate / config.n_fft)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), dtype=np.float32)


class SpectrogramTransform:
    """Turn frames of samples into log power; the one formula of training and runtime.

    The work is done in double precision and rounded to float32 once, at the end. That removes
    last-bit differences between FFTs, BLAS libraries and CPUs, so the same audio gives the same
    features on every machine. Work arrays are reused from call to call: not thread-safe.

    Parameters
    ----------
    config : FrontendConfig
        How audio becomes frames.
    rfft : callable, default numpy.fft.rfft
        Any function with numpy's signature. Training passes scipy's, which is faster on batches;
        importing scipy takes too long for the runtime.
    dtype : {float64, float32}
        Precision of the work. Training uses float32: half the cost, equal to 1e-5.
    """

    def __init__(
        self,
        config: FrontendConfig,
        *,
        rfft: Callable[..., Any] = np.fft.rfft,
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        self.config = config
        self._rfft = rfft
        self._dtype = dtype
        self._log_floor = config.log_floor
        # The window also scales int16 to +-1, which saves a multiplication per sample.
        self._window = (hann_window(config.frame_length_samples) / np.float32(FULL_SCALE)).astype(
            dtype
        )
        self._n_bins = config.n_fft // 2 + 1
        self._allocate((0,))

    def _allocate(self, shape: tuple[int, ...]) -> None:
        """Allocate work arrays for frames of this shape."""
        self._shape = shape
        # The zeros behind each frame, up to the length of the FFT, are never overwritten.
        self._padded = np.zeros((*shape, self.config.n_fft), dtype=self._dtype)
        self._windowed = self._padded[..., : self.config.frame_length_samples]
        self._power = np.zeros((*shape, self._n_bins), dtype=self._dtype)
        # Squares of the real and imaginary parts, side by side as in the spectrum.
        self._squares = np.zeros((*shape, 2 * self._n_bins), dtype=self._dtype)
        self._real, self._imaginary = self._squares[..., ::2], self._squares[..., 1::2]
        self._rfft_options = {}
        if RFFT_HAS_OUT and self._rfft is np.fft.rfft:
            kind = np.result_type(self._dtype, np.complex64)
            self._rfft_options["out"] = np.zeros((*shape, self._n_bins), dtype=kind)

    def __call__(self, frames: NDArray[Any], *, out: FloatArray | None = None) -> FloatArray:
        """Return the log energies of frames.

        Parameters
        ----------
        frames : ndarray of int16 or float32, shape (..., n_frames, frame_length_samples)
            Samples on the int16 scale, -32768..32767.
        out : ndarray of float32, shape (..., n_frames, n_bands), optional
            Where to write the result; without it a new array is made.

        Returns
        -------
        features : ndarray of float32, shape (..., n_frames, n_bands)
            Natural log of the energy of each band, never below ``log(log_floor)``.
        """
        if frames.shape[:-1] != self._shape:
            self._allocate(frames.shape[:-1])
        np.multiply(frames, self._window, out=self._windowed, casting="same_kind")
        spectrum = self._rfft(self._padded, **self._rfft_options)
        np.square(spectrum.view(spectrum.real.dtype), out=self._squares, casting="same_kind")
        np.add(self._real, self._imaginary, out=self._power)
        energy = self._bands()
        np.maximum(energy, self._log_floor, out=energy)
        np.log(energy, out=energy)
        if out is None:
            return energy.astype(np.float32)
        out[...] = energy
        return out

    def _bands(self) -> NDArray[Any]:
        """Return the energy of each band, in a work array."""
        return self._power


class LogMelTransform(SpectrogramTransform):
    """Turn frames of samples into log-mel energies (see `SpectrogramTransform`)."""

    def __init__(
        self,
        config: FrontendConfig,
        *,
        rfft: Callable[..., Any] = np.fft.rfft,
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        filters = mel_filterbank(config).astype(dtype)
        self._n_mels = filters.shape[1]
        self._blocks = _filter_blocks(filters)
        super().__init__(config, rfft=rfft, dtype=dtype)

    def _allocate(self, shape: tuple[int, ...]) -> None:
        super()._allocate(shape)
        self._energy = np.zeros((*shape, self._n_mels), dtype=self._dtype)
        self._products = [
            (self._power[..., bins], filters, self._energy[..., mels])
            for bins, mels, filters in self._blocks
        ]

    def _bands(self) -> NDArray[Any]:
        for power, filters, part in self._products:
            np.matmul(power, filters, out=part)
        return self._energy


def _filter_blocks(filters: NDArray[Any]) -> list[tuple[slice, slice, NDArray[Any]]]:
    """Return the filterbank as blocks (bins, mels, filters) without most of its zeros.

    Low filters are narrow, so two blocks halve the multiplications. More blocks would cost more
    in calls than they save.
    """
    n_mels = filters.shape[1]
    blocks = []
    for first, last in ((0, n_mels // 2), (n_mels // 2, n_mels)):
        used = np.flatnonzero(filters[:, first:last].any(axis=1))
        if len(used):
            bins = slice(int(used[0]), int(used[-1]) + 1)
            block = np.ascontiguousarray(filters[bins, first:last])
            blocks.append((bins, slice(first, last), block))
    return blocks
