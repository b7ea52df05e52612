"""Pure maths from frames of samples to log-mel: the filterbank on top of the spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.features.spectrum import FloatArray, SpectrogramMaths


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


class LogMelMaths(SpectrogramMaths):
    """The constants of a log-mel front end: those of the spectrum, and the filters behind it.

    See `SpectrogramMaths` for the parameters, and for how exact it is.
    """

    def __init__(
        self,
        config: FrontendConfig,
        *,
        rfft: Callable[..., Any] = np.fft.rfft,
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        filters = mel_filterbank(config).astype(dtype)
        self._n_mels = filters.shape[1]
        self._parts = _parts(filters)
        super().__init__(config, rfft=rfft, dtype=dtype)

    def _make_room(self, shape: tuple[int, ...]) -> None:
        super()._make_room(shape)
        self._energy = np.zeros((*shape, self._n_mels), dtype=self._dtype)
        self._products = [
            (self._power[..., bins], filters, self._energy[..., mels])
            for bins, mels, filters in self._parts
        ]

    def _bands(self) -> NDArray[Any]:
        for power, filters, part in self._products:
            np.matmul(power, filters, out=part)
        return self._energy


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
