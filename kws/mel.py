"""Pure maths from frames of samples to log-mel: taper, mel filterbank, log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig

FloatArray = NDArray[np.float32]

# int16 full scale, so that energies do not depend on the sample format.
FULL_SCALE = 32_768.0


def hann_taper(n_samples: int) -> FloatArray:
    """Return the periodic Hann weighting of a frame, float32 ``(n_samples,)``, 0..1."""
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


class LogMelMaths:
    """The constants of a front end and the one formula that training and runtime share.

    All is computed in double precision and rounded to float32 once, at the end: whatever the FFT,
    the BLAS and the CPU do in the last bits is rounded away, so that the same audio gives the
    same features on every machine. Work arrays are kept from call to call: not for threads.

    Parameters
    ----------
    config : FrontendConfig
        How audio becomes frames.
    rfft : callable, default numpy.fft.rfft
        Any function with numpy's signature: training passes scipy's, faster on whole batches;
        the runtime cannot afford to import scipy.
    dtype : {float64, float32}
        Precision of the work. Training takes float32, at half the cost and equal to 1e-5.
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
        # Scaling int16 to +-1 is folded into the taper: one multiplication fewer per sample.
        self._taper = (hann_taper(config.frame_length_samples) / np.float32(FULL_SCALE)).astype(
            dtype
        )
        filters = mel_filterbank(config).astype(dtype)
        self._n_bins, self._n_mels = filters.shape
        self._parts = _parts(filters)
        self._make_room((0,))

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """Allocate work arrays for frames of this shape."""
        self._shape = shape
        # Zeros behind each frame, up to the length of the FFT, stay as they are.
        self._padded = np.zeros((*shape, self.config.n_fft), dtype=self._dtype)
        self._tapered = self._padded[..., : self.config.frame_length_samples]
        self._power = np.zeros((*shape, self._n_bins), dtype=self._dtype)
        self._square = np.zeros((*shape, self._n_bins), dtype=self._dtype)
        self._energy = np.zeros((*shape, self._n_mels), dtype=self._dtype)
        self._products = [
            (self._power[..., bins], filters, self._energy[..., mels])
            for bins, mels, filters in self._parts
        ]

    def __call__(self, frames: NDArray[Any], *, out: FloatArray | None = None) -> FloatArray:
        """Return log-mel of frames.

        Parameters
        ----------
        frames : ndarray of int16 or float32, shape (..., n_frames, frame_length_samples)
            Samples on the int16 scale, -32768..32767.
        out : ndarray of float32, shape (..., n_frames, n_mels), optional
            Where to write the result; without it a new array is made.

        Returns
        -------
        log_mel : ndarray of float32, shape (..., n_frames, n_mels)
            Natural log of mel energy, never below ``log(log_floor)``.
        """
        if frames.shape[:-1] != self._shape:
            self._make_room(frames.shape[:-1])
        np.multiply(frames, self._taper, out=self._tapered, casting="same_kind")
        spectrum = self._rfft(self._padded)
        np.square(spectrum.real, out=self._power, casting="same_kind")
        np.square(spectrum.imag, out=self._square, casting="same_kind")
        np.add(self._power, self._square, out=self._power)
        for power, filters, part in self._products:
            np.matmul(power, filters, out=part)
        energy = self._energy
        np.maximum(energy, self.config.log_floor, out=energy)
        np.log(energy, out=energy)
        if out is None:
            return energy.astype(np.float32)
        np.copyto(out, energy, casting="same_kind")
        return out


def _parts(filters: NDArray[Any]) -> list[tuple[slice, slice, NDArray[Any]]]:
    """Return the filterbank as blocks (bins, mels, filters) without most of its zeros.

    Low filters are narrow: two blocks halve the multiplications, more cost more calls than they
    save.
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
