"""Features of a stream of samples (each frame computed once) and of whole clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import AudioError
from kws.features.log_mel import FULL_SCALE, FloatArray, LogMelTransform, SpectrogramTransform

# Frames computed at once. Ten already fill the caches, so more would only take more memory.
BLOCK_FRAMES = 16
CLIP_BLOCK_FRAMES = 512


def log_mel(samples: NDArray[Any], config: FrontendConfig) -> FloatArray:
    """Return the log-mel frames of whole clips.

    Every call starts from a fresh state: for audio that arrives in pieces use `LogMelFrontend`.

    Parameters
    ----------
    samples : ndarray of int16 or float32, shape (..., n_samples)
        Mono audio on the int16 scale.
    config : FrontendConfig
        How audio becomes frames.

    Returns
    -------
    frames : ndarray of float32, shape (..., n_frames, n_mels)
        Natural log of mel energy; ``n_frames`` is 0 for audio shorter than a frame.
    """
    return clip_frames(np.asarray(samples), LogMelTransform(config))


def clip_frames(samples: NDArray[Any], transform: SpectrogramTransform) -> FloatArray:
    """Return the frames of whole clips by a prepared transform (see `log_mel`)."""
    config = transform.config
    n_frames = config.n_frames(samples.shape[-1])
    if n_frames == 0:
        return np.zeros((*samples.shape[:-1], 0, config.n_bands), dtype=np.float32)
    samples = np.ascontiguousarray(samples)
    if samples.ndim > 1 or n_frames <= CLIP_BLOCK_FRAMES:
        return transform(_overlapping_frames(samples, n_frames, config))
    # Block by block: a long recording at once would take 80 MB a minute.
    out = np.empty((n_frames, config.n_bands), dtype=np.float32)
    for first in range(0, n_frames, CLIP_BLOCK_FRAMES):
        n = min(CLIP_BLOCK_FRAMES, n_frames - first)
        rest = samples[first * config.frame_step_samples :]
        transform(_overlapping_frames(rest, n, config), out=out[first : first + n])
    return out


def _overlapping_frames(
    samples: NDArray[Any], n_frames: int, config: FrontendConfig
) -> NDArray[Any]:
    """Return a view of the first `n_frames` frames, without copying."""
    step = samples.strides[-1]
    # np.ndarray on the buffer: the same view as sliding_window_view at a tenth of its call cost.
    return np.ndarray(
        shape=(*samples.shape[:-1], n_frames, config.frame_length_samples),
        dtype=samples.dtype,
        buffer=samples,
        strides=(*samples.strides[:-1], step * config.frame_step_samples, step),
    )


class SpectrogramFrontend:
    """Turn a stream of samples into frames of log power, computing each frame once."""

    transform: type[SpectrogramTransform] = SpectrogramTransform

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config
        self._transform = self.transform(config)
        self._step = config.frame_step_samples
        self._overlap = config.frame_length_samples - self._step
        self._allocate(2 * config.sample_rate)
        self.reset()

    def _allocate(self, n_samples: int) -> None:
        self._audio = np.zeros(n_samples, dtype=np.int16)
        # A view for each number of frames at the start of the buffer, which are slow to make.
        self._views: dict[int, NDArray[Any]] = {}

    def reset(self) -> None:
        """Forget all audio."""
        self._n_pending = 0

    def prime(self, samples: NDArray[np.int16]) -> None:
        """Do nothing: no frame depends on samples before it."""

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return the frames that these samples complete.

        Parameters
        ----------
        samples : ndarray of int16, shape (n_samples,)
            Mono audio that follows directly on the previous call's.
        out : ndarray of float32, shape (at least n_frames, n_bands), optional
            Where to write the frames; without it a new array is made.

        Returns
        -------
        frames : ndarray of float32, shape (n_frames, n_bands)
            Natural log of each band's energy; ``n_frames`` may be 0. With `out`, its first rows.

        Raises
        ------
        AudioError
            If `samples` is not a one-dimensional int16 array.
        """
        check_samples(samples)
        end = self._n_pending + len(samples)
        if end > len(self._audio):
            pending = self._audio[: self._n_pending]
            self._allocate(2 * end)
            self._audio[: self._n_pending] = pending
        audio, step = self._audio, self._step
        audio[self._n_pending : end] = samples
        n_frames = max(0, (end - self._overlap) // step)
        if out is None:
            out = np.empty((n_frames, self.config.n_bands), dtype=np.float32)
        for first in range(0, n_frames, BLOCK_FRAMES):
            n = min(BLOCK_FRAMES, n_frames - first)
            self._transform(self._frames(first, n), out=out[first : first + n])
        self._n_pending = end - n_frames * step
        # numpy copies correctly where source and target overlap.
        audio[: self._n_pending] = audio[n_frames * step : end]
        return out[:n_frames]

    def _frames(self, first: int, n_frames: int) -> NDArray[Any]:
        if first:
            return _overlapping_frames(self._audio[first * self._step :], n_frames, self.config)
        if n_frames not in self._views:
            self._views[n_frames] = _overlapping_frames(self._audio, n_frames, self.config)
        return self._views[n_frames]


class LogMelFrontend(SpectrogramFrontend):
    """Turn a stream of samples into log-mel frames, computing each frame once."""

    transform = LogMelTransform


class WaveformFrontend:
    """Scale samples to -1..1: a frame is one sample."""

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def prime(self, samples: NDArray[np.int16]) -> None:
        """Do nothing: no frame depends on samples before it."""

    def push(self, samples: NDArray[np.int16], *, out: FloatArray | None = None) -> FloatArray:
        """Return int16 ``(n_samples,)`` as float32 ``(n_samples, 1)``; with `out`, its first rows.

        Raises
        ------
        AudioError
            If `samples` is not a one-dimensional int16 array.
        """
        check_samples(samples)
        if out is None:
            out = np.empty((len(samples), 1), dtype=np.float32)
        frames = out[: len(samples)]
        np.multiply(samples, np.float32(1 / FULL_SCALE), out=frames[:, 0])
        return frames


def check_samples(samples: NDArray[np.int16]) -> None:
    """Raise `AudioError` unless `samples` is int16 ``(n_samples,)``."""
    if not isinstance(samples, np.ndarray) or samples.dtype != np.int16 or samples.ndim != 1:
        got = (
            f"{samples.dtype} {samples.shape}"
            if isinstance(samples, np.ndarray)
            else type(samples).__name__
        )
        raise AudioError(f"samples: expected an int16 array of shape (n_samples,), got {got}")
