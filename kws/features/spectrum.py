"""Pure maths from frames of samples to power at each frequency: taper, FFT, log."""

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


class SpectrogramMaths:
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
        self._n_bins = config.n_fft // 2 + 1
        self._make_room((0,))

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """Allocate work arrays for frames of this shape."""
        self._shape = shape
        # Zeros behind each frame, up to the length of the FFT, stay as they are.
        self._padded = np.zeros((*shape, self.config.n_fft), dtype=self._dtype)
        self._tapered = self._padded[..., : self.config.frame_length_samples]
        self._power = np.zeros((*shape, self._n_bins), dtype=self._dtype)
        self._square = np.zeros((*shape, self._n_bins), dtype=self._dtype)

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
            self._make_room(frames.shape[:-1])
        np.multiply(frames, self._taper, out=self._tapered, casting="same_kind")
        spectrum = self._rfft(self._padded)
        np.square(spectrum.real, out=self._power, casting="same_kind")
        np.square(spectrum.imag, out=self._square, casting="same_kind")
        np.add(self._power, self._square, out=self._power)
        energy = self._bands()
        np.maximum(energy, self.config.log_floor, out=energy)
        np.log(energy, out=energy)
        if out is None:
            return energy.astype(np.float32)
        np.copyto(out, energy, casting="same_kind")
        return out

    def _bands(self) -> NDArray[Any]:
        """Return the energy of each band from the power, in memory that is ours."""
        return self._power
