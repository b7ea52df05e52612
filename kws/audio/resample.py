"""Streaming sample-rate conversion, for devices and files that are not at the model's rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError


class Resampler:
    """Convert a stream of samples from one rate to another without seams between chunks.

    Uses libsoxr through `soxr` (high quality). In float32 its output does not depend on how the
    input is cut (its int16 mode adds random dither), it keeps its own state, which
    scipy.signal does not, and it avoids scipy's 0.6 s of import.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        if not 1_000 <= in_rate <= 768_000:
            raise AudioError(f"expected a sample rate of 1000..768000 Hz, got {in_rate}")
        self._in_rate = in_rate
        self._out_rate = out_rate
        self.reset()

    def reset(self) -> None:
        """Forget the audio pushed so far."""
        import soxr

        self._stream = soxr.ResampleStream(
            self._in_rate, self._out_rate, 1, dtype="float32", quality="HQ"
        )

    def push(self, samples: NDArray[np.int16], *, last: bool = False) -> NDArray[np.int16]:
        """Return the samples at the new rate that these int16 ``(n,)`` complete; may be empty.

        With `last` the end of the stream comes out too; `reset` before pushing again.
        """
        resampled = self._stream.resample_chunk(samples.astype(np.float32), last=last)
        return np.asarray(np.clip(np.round(resampled), -32_768, 32_767), dtype=np.int16)
