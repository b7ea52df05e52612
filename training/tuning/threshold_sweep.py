"""Hits and false accepts of each keyword at every threshold of a grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import firings
from training.evaluation.stream_scores import LATE_S, FileScores
from training.evaluation.truth import IGNORE, OTHER, Event

IntArray = NDArray[np.int64]
LOWEST = 0.2


def threshold_grid() -> NDArray[np.float64]:
    """Return the thresholds to choose from in rising order, dense towards 1 and up to 1.

    A confident model has most of its scores just below 1. At 1 a keyword practically never fires.
    """
    steps = 1 - np.geomspace(1 - LOWEST, 0.004, 120)
    return np.unique(np.append(np.round(steps, 3), 1.0))


@dataclass(frozen=True)
class Hops:
    """All hops of several files, joined."""

    scores: NDArray[np.float32]
    """Shape (n_hops, n_keywords)."""

    times_s: NDArray[np.float64]
    """Time within the file."""

    file: IntArray
    """Index of the file of each hop."""

    ignored: NDArray[np.bool_]
    """Hops at which detections are not counted."""

    event: IntArray
    """For each hop and keyword the spoken word that a detection would hit; -1: none."""

    other: IntArray
    """For each hop the other word, no keyword, at which it would be a false alarm; -1: none."""

    n_events: IntArray
    """Number of spoken words, shape (n_keywords,)."""

    @classmethod
    def gather(
        cls,
        files: Sequence[FileScores],
        events: Sequence[Event],
        labels: Sequence[str],
        keywords: Sequence[str],
    ) -> Hops:
        """Join files and align each hop with the truth.

        Where two words of one keyword follow each other within a second, a hop belongs to the
        first.
        """
        columns = [labels.index(keyword) for keyword in keywords]
        ignored, spoken, others = [], [], []
        n_spoken = n_others = 0
        for scores in files:
            times = scores.times_s
            here = np.zeros(len(times), dtype=bool)
            hit = np.full((len(times), len(keywords)), -1, dtype=np.int64)
            other = np.full(len(times), -1, dtype=np.int64)
            for event in (event for event in events if event.file == scores.file):
                first, last = np.searchsorted(
                    times, (event.start_s, np.nextafter(event.end_s + LATE_S, np.inf))
                )
                if event.keyword == IGNORE:
                    here[first:last] = True
                elif event.keyword == OTHER:
                    # Of two the later one, as `Tally` counts them: events are in order of time.
                    other[first:last] = n_others
                    n_others += 1
                elif event.keyword in keywords:
                    part = hit[first:last, keywords.index(event.keyword)]
                    part[part < 0] = n_spoken
                    n_spoken += 1
            ignored.append(here)
            spoken.append(hit)
            others.append(other)
        count = Counter(event.keyword for event in events)
        return cls(
            scores=np.concatenate([scores.scores[:, columns] for scores in files]),
            times_s=np.concatenate([scores.times_s for scores in files]),
            file=np.repeat(np.arange(len(files)), [len(scores.times_s) for scores in files]),
            ignored=np.concatenate(ignored),
            event=np.concatenate(spoken),
            other=np.concatenate(others),
            n_events=np.array([count[keyword] for keyword in keywords], dtype=np.int64),
        )


@dataclass(frozen=True)
class SweepCounts:
    """Counts of each keyword taken alone, all of shape (n_keywords, n_thresholds)."""

    hits: IntArray
    """Words detected."""

    doubled: IntArray
    """Further detections of a word that was detected already."""

    false_accepts: IntArray

    fired: IntArray
    """Other words, no keywords, at which it fires."""


def sweep_thresholds(
    hops: Hops, thresholds: NDArray[np.float64], *, suppression_s: float
) -> SweepCounts:
    """Return the counts of `DetectionPolicy` for each keyword alone at each threshold.

    With all keywords active, the policy suppresses the weaker of two that score at once, so a
    keyword alone has at most slightly more detections.
    """
    shape = (hops.scores.shape[1], len(thresholds))
    hits, doubled, false, others = (np.zeros(shape, dtype=np.int64) for _ in range(4))
    for keyword, step in np.ndindex(*shape):
        if step == 0:
            reached = np.arange(len(hops.times_s))
        # Thresholds rise, so only hops that reached the previous one can reach this one.
        reached = reached[hops.scores[reached, keyword] >= thresholds[step]]
        fires = firings(hops.times_s[reached], suppression_s=suppression_s)
        # The policy is reset at the start of each file.
        fires[1:] |= np.diff(hops.file[reached]) > 0
        fired = reached[fires]
        event = hops.event[fired, keyword]
        hits[keyword, step] = len(np.unique(event[event >= 0]))
        doubled[keyword, step] = np.count_nonzero(event >= 0) - hits[keyword, step]
        wrong = fired[(event < 0) & ~hops.ignored[fired]]
        false[keyword, step] = len(wrong)
        other = hops.other[wrong]
        others[keyword, step] = len(np.unique(other[other >= 0]))
    return SweepCounts(hits, doubled, false, others)
