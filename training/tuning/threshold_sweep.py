"""False accepts and hits of each keyword at every threshold it could have: its staircase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import ROUNDING_S
from training.evaluation.stream_scores import LATE_S, FileScores
from training.evaluation.truth import IGNORE, Event

IntArray = NDArray[np.int64]


def threshold_grid(*, floor: float = 0.2) -> NDArray[np.float64]:
    """Return the thresholds to choose among, rising: dense towards 1, and 1 itself.

    The scores of a confident model crowd below 1. At 1 a keyword all but never fires: the last
    resort of one whose false accepts cannot be paid for.
    """
    steps = 1 - np.geomspace(1 - floor, 0.004, 120)
    return np.unique(np.append(np.round(steps, 3), 1.0))


@dataclass(frozen=True)
class Hops:
    """All hops of several files, one file after another."""

    scores: NDArray[np.float32]
    """Shape (n_hops, n_keywords)."""

    times_s: NDArray[np.float64]
    """Within each file."""

    file: IntArray
    """Which file a hop belongs to."""

    ignored: NDArray[np.bool_]
    """Hops where a detection counts neither way."""

    event: IntArray
    """For each hop and keyword the spoken word that a detection would hit, -1 for none."""

    n_events: IntArray
    """Words spoken, shape (n_keywords, n_files)."""

    n_hops: IntArray
    """Of each file."""

    @classmethod
    def gather(
        cls,
        files: Sequence[FileScores],
        events: Sequence[Event],
        labels: Sequence[str],
        keywords: Sequence[str],
    ) -> Hops:
        """Lay files end to end, with the truth beside each hop.

        Where two words of one keyword follow within a second, a hop belongs to the first.
        """
        columns = [labels.index(keyword) for keyword in keywords]
        ignored, spoken = [], []
        n_spoken = 0
        for scores in files:
            times = scores.times_s
            here = np.zeros(len(times), dtype=bool)
            hit = np.full((len(times), len(keywords)), -1, dtype=np.int64)
            for event in (event for event in events if event.file == scores.file):
                first, last = np.searchsorted(
                    times, (event.start_s, np.nextafter(event.end_s + LATE_S, np.inf))
                )
                if event.keyword == IGNORE:
                    here[first:last] = True
                elif event.keyword in keywords:
                    part = hit[first:last, keywords.index(event.keyword)]
                    part[part < 0] = n_spoken
                    n_spoken += 1
            ignored.append(here)
            spoken.append(hit)
        lengths = np.array([len(scores.times_s) for scores in files], dtype=np.int64)
        pairs = Counter((event.keyword, event.file) for event in events)
        n_events = [[pairs[keyword, scores.file] for scores in files] for keyword in keywords]
        return cls(
            scores=np.concatenate([scores.scores[:, columns] for scores in files]),
            times_s=np.concatenate([scores.times_s for scores in files]),
            file=np.repeat(np.arange(len(files)), lengths),
            ignored=np.concatenate(ignored),
            event=np.concatenate(spoken),
            n_events=np.array(n_events, dtype=np.int64).reshape(len(keywords), len(files)),
            n_hops=lengths,
        )


@dataclass(frozen=True)
class Staircases:
    """Counts of each keyword, listened to alone, at each threshold of a grid, file by file.

    All are of shape (n_keywords, n_thresholds, n_files).
    """

    hits: IntArray
    """Words heard."""

    doubled: IntArray
    """Firings on a word that had fired already."""

    false_accepts: IntArray


def staircases(hops: Hops, thresholds: NDArray[np.float64], *, suppression_s: float) -> Staircases:
    """Return what each keyword would fire at each threshold if it were the only one.

    That is what `DetectionPolicy` does but for the moments when two keywords score at once,
    where the weaker one stays silent: alone a keyword fires at most a little more.
    """
    n_files = len(hops.n_hops)
    shape = (hops.scores.shape[1], len(thresholds), n_files)
    hits, doubled, false = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for keyword, step in np.ndindex(*shape[:2]):
        if step == 0:
            reached = np.arange(len(hops.times_s))
        # Rising thresholds: what was below the last one is below this one, too.
        reached = reached[hops.scores[reached, keyword] >= thresholds[step]]
        if not len(reached):
            continue
        fired = reached[_fires(hops.times_s[reached], hops.file[reached], suppression_s)]
        event, file = hops.event[fired, keyword], hops.file[fired]
        on_word = np.flatnonzero(event >= 0)
        _, first = np.unique(event[on_word], return_index=True)
        np.add.at(hits[keyword, step], file[on_word[first]], 1)
        np.add.at(doubled[keyword, step], file[on_word], 1)
        np.add.at(false[keyword, step], file[(event < 0) & ~hops.ignored[fired]], 1)
    doubled -= hits
    return Staircases(hits, doubled, false)


def _fires(times_s: NDArray[np.float64], file: IntArray, suppression_s: float) -> NDArray[np.bool_]:
    """Return at which of the hops that reach the threshold the policy fires."""
    fires = np.ones(len(times_s), dtype=bool)
    fires[1:] = (times_s[1:] >= times_s[:-1] + suppression_s - ROUNDING_S) | (file[1:] != file[:-1])
    return fires
