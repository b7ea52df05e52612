"""Which hops need no model: those whose scores would come from quiet audio alone."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError

MIN_GATE_DB = -120.0
FULL_SCALE = 32_768.0
# A word of a third of a second must not drown in the mean of a long hop, nor of the first window.
LEVEL_S = 0.1


class Due(NamedTuple):
    """What the stages must hear for the scores of a hop to be right."""

    blocks: list[NDArray[np.int16]]
    """Each ends a hop; the last one ends the hop whose scores are wanted."""

    before: NDArray[np.int16] | None
    """None: the blocks follow on what the stages heard last. Otherwise the stages start anew,
    and these samples came directly before the blocks."""


class EnergyGate:
    """Pass over hops while it is quiet, and tell what must be heard once it is not.

    A hop is passed over if everything that its scores would come from is quiet: its window, and
    the windows that smoothing averages with it. So every score that has seen a loud hop is
    computed, and from the same audio as without a gate. What was passed over is made good at the
    first loud hop: all of it, or only as much as the scores there can see, whichever is less. A
    gated spotter thus never computes more than one without a gate.

    Parameters
    ----------
    gate_db : float
        Quiet is what lies below this level: RMS of the loudest tenth of a second of the hop, in
        dB below full scale. Higher: more is passed over, and louder words are lost with it.
    sample_rate : int
        Of the samples that are pushed.
    window_samples, hop_samples : int
        Length of the first block after a reset, and of all others.
    lead_samples : int
        How far the first window that smoothing averages lies before the last one, a multiple of
        `hop_samples`.
    history_samples : int
        What filters before the window still remember.

    Raises
    ------
    ConfigError
        If the level lies outside -120..0 dB.
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
        if not MIN_GATE_DB <= gate_db <= 0:
            raise ConfigError(f"gate_db: expected {MIN_GATE_DB:g} to 0 dB, got {gate_db}")
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
        """Forget all audio: nothing was heard, so nothing loud."""
        # What lies before the first sample counts as quiet: no score can see it.
        self._n_quiet = self._reach
        self._kept: deque[NDArray[np.int16]] = deque()
        self._n_kept = 0
        self._forgot = False

    def push(self, block: NDArray[np.int16]) -> Due | None:
        """Return what must be heard now, or None if this hop is passed over.

        Parameters
        ----------
        block : ndarray of int16, shape (n_samples,)
            All samples since the last hop's, a window's or a hop's; the gate keeps a copy where
            it needs one.
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
        # Squares of int16 are whole numbers, and so are their sums, exact in double precision in
        # whatever order: a hop is loud or not however its samples came to lie in memory.
        for piece in self._pieces[len(block)]:
            if np.dot(piece, piece) >= self._mean_square * len(piece):
                return True
        return False

    def _keep(self, block: NDArray[np.int16]) -> None:
        """Keep a block, and drop those that no score can see any more."""
        self._kept.append(block)
        self._n_kept += len(block)
        while self._n_kept - len(self._kept[0]) >= self._reach:
            self._n_kept -= len(self._kept.popleft())
            self._forgot = True

    def _due(self) -> Due:
        if not self._forgot:
            return Due(list(self._kept), None)
        # Cut as if a new stream had begun here: a window first, then hop by hop.
        audio = np.concatenate(self._kept)[-self._reach :]
        before, *blocks = np.split(audio, self._cuts)
        return Due(blocks, before)
