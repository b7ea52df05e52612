"""Skip hops whose scores would come from quiet audio only."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.dataclass_io import check_range

MIN_GATE_DB = -120.0
FULL_SCALE = 32_768.0
# Short, so that the mean over a long hop or the first window does not hide a short word.
LEVEL_S = 0.1


class Due(NamedTuple):
    """The audio that the stages must process before the scores of a hop are right."""

    blocks: list[NDArray[np.int16]]
    """Each ends a hop; the last one ends the current hop."""

    before: NDArray[np.int16] | None
    """None: the blocks follow directly on the last processed audio. Otherwise the stages must be
    reset, and these samples come directly before the blocks."""


class EnergyGate:
    """Skip hops while it is quiet, and return the audio to catch up on when it is not.

    A hop is skipped if all audio behind its scores is quiet: its window, and the windows that
    smoothing averages with it. Every score that depends on a loud hop is computed, from the same
    audio as without a gate. At the first loud hop the skipped audio is returned, but only as much
    as the scores there depend on. So a gate never adds computation.

    Parameters
    ----------
    gate_db : float
        A hop is quiet if the RMS of its loudest tenth of a second is below this level, in dB
        relative to full scale. Higher: more hops are skipped, and louder words are missed.
    sample_rate : int
        Of the samples pushed, in Hz.
    window_samples, hop_samples : int
        Length of the first block after a reset, and of all others.
    lead_samples : int
        Distance from the first to the last of the windows that smoothing averages, a multiple of
        `hop_samples`.
    history_samples : int
        Samples before the window that a low-pass filter still depends on.

    Raises
    ------
    ConfigError
        If the level is outside -120..0 dB.
    """

    def __init__(
        self,
        gate_db: float,
        *,
        sample_rate: int,
        window_samples: int,
        hop_samples: int,
        lead_samples: int,
        history_samples: int = 0,
    ) -> None:
        check_range("gate_db", gate_db, MIN_GATE_DB, 0)
        self._mean_square = FULL_SCALE**2 * 10 ** (gate_db / 10)
        self._work = np.zeros(max(window_samples, hop_samples), dtype=np.float64)
        longest = round(LEVEL_S * sample_rate)
        self._pieces = {n: self._cut(n, longest) for n in (window_samples, hop_samples)}
        self._reach = history_samples + window_samples + lead_samples
        self._cuts = [
            history_samples,
            *range(history_samples + window_samples, self._reach, hop_samples),
        ]
        self.reset()

    def reset(self) -> None:
        """Forget all audio."""
        # No score depends on audio before the first sample, so that counts as quiet.
        self._n_quiet = self._reach
        self._kept: deque[NDArray[np.int16]] = deque()
        self._n_kept = 0
        self._forgot = False

    def push(self, block: NDArray[np.int16]) -> Due | None:
        """Return what to process now, or None if this hop is skipped.

        Parameters
        ----------
        block : ndarray of int16, shape (n_samples,)
            All samples since the last hop: a window at first, then a hop. Copied if kept.
        """
        self._n_quiet = 0 if self._is_loud(block) else self._n_quiet + len(block)
        if self._n_quiet >= self._reach:
            self._keep(block.copy())
            return None
        if not self._kept:
            return Due([block], None)
        self._keep(block)
        due = self._due()
        self._kept.clear()
        self._n_kept = 0
        self._forgot = False
        return due

    def _cut(self, n_samples: int, longest: int) -> list[NDArray[np.float64]]:
        """Return the work array's first samples in equal pieces, none above `longest`."""
        return np.array_split(self._work[:n_samples], -(-n_samples // longest))

    def _is_loud(self, block: NDArray[np.int16]) -> bool:
        self._work[: len(block)] = block
        # Sums of squares of int16 are whole numbers, exact in double precision: the order of
        # summation does not change the result.
        for piece in self._pieces[len(block)]:
            if np.dot(piece, piece) >= self._mean_square * len(piece):
                return True
        return False

    def _keep(self, block: NDArray[np.int16]) -> None:
        """Keep a block, and drop those that no score depends on any more."""
        self._kept.append(block)
        self._n_kept += len(block)
        while self._n_kept - len(self._kept[0]) >= self._reach:
            self._n_kept -= len(self._kept.popleft())
            self._forgot = True

    def _due(self) -> Due:
        if not self._forgot:
            return Due(list(self._kept), None)
        # Cut like a new stream: a window first, then hop by hop.
        audio = np.concatenate(self._kept)[-self._reach :]
        before, *blocks = np.split(audio, self._cuts)
        return Due(blocks, before)
