"""The firing rule: thresholds and suppression, one detection per utterance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.dataclass_io import check_range
from kws.errors import ConfigError
from kws.manifest import ModelManifest

# Hop times carry rounding errors, and a suppression time may be a whole number of hops. This is
# far below a sample and far above the rounding of a year.
ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Detection:
    """A keyword that fired."""

    keyword: str
    """The label that fired."""

    score: float
    """Its smoothed posterior at that moment, after the speech-context penalty, 0..1."""

    time_s: float
    """End of the window that fired, in seconds of audio fed since the start."""


class DetectionPolicy:
    """Fire when the best keyword's score reaches its threshold, once an utterance.

    Parameters
    ----------
    labels : sequence of str
        Labels in the order of the scores.
    thresholds : mapping of str to float
        The keywords that may fire, with the score each needs, above 0 and up to 1. Labels not
        named here never fire.
    suppression_s : float
        A keyword stays silent for this long after its score was last at or above its threshold.
        Longer: fewer double firings, but a word repeated sooner is missed.

    Raises
    ------
    ConfigError
        If a keyword is not a label, or a threshold is out of range.
    """

    def __init__(
        self, labels: Sequence[str], thresholds: Mapping[str, float], *, suppression_s: float
    ) -> None:
        self._labels = tuple(labels)
        self._suppression_s = suppression_s
        by_index = {}
        for keyword, threshold in thresholds.items():
            if keyword not in self._labels:
                known = ", ".join(label for label in labels if not label.startswith("_"))
                raise ConfigError(f"keyword {keyword!r}: expected one of {known}")
            check_range(f"threshold of {keyword}", threshold, 0, 1, above=True)
            by_index[self._labels.index(keyword)] = float(threshold)
        self._thresholds = sorted(by_index.items())
        self.reset()

    def reset(self) -> None:
        """Forget all firings, so that every keyword may fire."""
        self._suppressed_until_s = [-math.inf] * len(self._labels)

    def push(self, scores: NDArray[np.float32], time_s: float) -> Detection | None:
        """Return the detection at this hop, if there is one.

        Parameters
        ----------
        scores : ndarray of float32, shape (n_labels,)
            Smoothed posteriors after the speech-context penalty.
        time_s : float
            Stream time of the scores, in seconds; must not go back.
        """
        # Plain floats: for a dozen labels numpy's calls take longer than the comparisons.
        row = scores.tolist()
        above = [index for index, threshold in self._thresholds if row[index] >= threshold]
        if not above:
            return None
        best = max(above, key=row.__getitem__)
        fires = time_s >= self._suppressed_until_s[best]
        for index in above:
            # Each hop at or above the threshold extends the suppression, so a long utterance
            # cannot fire twice. A runner-up is suppressed only when another keyword fires: it
            # may be the next word.
            if fires or time_s < self._suppressed_until_s[index]:
                self._suppressed_until_s[index] = time_s + self._suppression_s - ROUNDING_S
        return Detection(self._labels[best], row[best], time_s) if fires else None

    def is_reached(self, scores: NDArray[np.float32]) -> bool:
        """Return whether a keyword's score is at or above its threshold; changes nothing."""
        row = scores.tolist()
        # A plain loop: a generator costs a call per keyword.
        for index, threshold in self._thresholds:  # noqa: SIM110
            if row[index] >= threshold:
                return True
        return False

    def replay(self, scores: NDArray[np.float32], times_s: NDArray[np.float64]) -> list[Detection]:
        """Return the detections of a recording, as `push` gives them after a reset.

        Parameters
        ----------
        scores : ndarray of float32, shape (n_hops, n_labels)
        times_s : ndarray of float64, shape (n_hops,)
            Rising.
        """
        self.reset()
        levels = np.full(len(self._labels), np.inf, dtype=np.float64)
        for index, threshold in self._thresholds:
            levels[index] = threshold
        reached = np.flatnonzero((scores >= levels).any(axis=1))
        found = (self.push(scores[hop], float(times_s[hop])) for hop in reached)
        return [detection for detection in found if detection is not None]


def count_firings(
    scores: NDArray[np.floating[Any]], threshold: float, *, hop_s: float, suppression_s: float
) -> int:
    """Return how often a single keyword fires in a recording, by the rule of `DetectionPolicy`.

    Parameters
    ----------
    scores : ndarray, shape (n_hops,)
        Of the keyword at each hop, in any unit that the threshold shares.
    """
    reached = np.flatnonzero(scores >= np.float64(threshold))
    return int(np.count_nonzero(firings(reached * np.float64(hop_s), suppression_s=suppression_s)))


def firings(times_s: NDArray[np.float64], *, suppression_s: float) -> NDArray[np.bool_]:
    """Return which hops fire of those at which a single keyword reaches its threshold.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n_reached,)
        Times of the hops at or above the threshold, rising.
    """
    fires = np.ones(len(times_s), dtype=bool)
    # Every hop at or above the threshold extends the suppression, so only the previous one counts.
    fires[1:] = times_s[1:] >= times_s[:-1] + suppression_s - ROUNDING_S
    return fires


def choose_thresholds(
    manifest: ModelManifest,
    given: Mapping[str, float] | float | None,
    keywords: Sequence[str] | None,
) -> dict[str, float]:
    """Return the threshold of every keyword that may fire.

    Parameters
    ----------
    manifest : ModelManifest
        Names the keywords; its thresholds are the defaults.
    given : mapping of str to float, float or None
        Thresholds of some keywords, or one for all.
    keywords : sequence of str or None
        Those that may fire; None for all.

    Raises
    ------
    ConfigError
        If a keyword is unknown, none is left, or `given` is of another type.
    """
    own = given if isinstance(given, Mapping) else {}
    for keyword in (*own, *(keywords or ())):
        if keyword not in manifest.keywords:
            raise ConfigError(
                f"keyword {keyword!r}: model {manifest.name!r} knows {', '.join(manifest.keywords)}"
            )
    if keywords is not None and not keywords:
        raise ConfigError(f"keywords: expected some of {', '.join(manifest.keywords)}, got none")
    for_all = given if isinstance(given, Real) else None
    if given is not None and for_all is None and not isinstance(given, Mapping):
        raise ConfigError(f"thresholds: expected a number or a mapping, got {given!r}")
    return {
        keyword: own.get(
            keyword, manifest.decision.threshold(keyword) if for_all is None else float(for_all)
        )
        for keyword in (manifest.keywords if keywords is None else keywords)
    }
