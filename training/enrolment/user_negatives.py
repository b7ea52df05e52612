"""Audio of one's own without the words: the room, the radio, the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.embedding.word_backbone import Backbone
from training.enrolment.make_negatives import NegativeMaker, Source, bank_of
from training.enrolment.negatives import Negatives

MOST_WINDOWS = 100_000
"""More than two hours."""


def with_folders(shipped: Negatives, backbone: Backbone, folders: Sequence[Path]) -> Negatives:
    """Return the shipped negatives and the windows of all audio in these folders.

    They count as running speech, for it is they that the words must not be heard in; each file
    is a group of its own.

    Raises
    ------
    ConfigError
        If a folder holds no audio that is as long as a window.
    """
    maker = NegativeMaker(backbone, each_file=True)
    first_group = int(shipped.groups.max(initial=0)) + 1
    found = [
        replace(piece, group=first_group + piece.group)
        for folder in folders
        for piece in maker.pieces(Source("speech", folder, MOST_WINDOWS))
    ]
    order = np.random.default_rng(1).permutation(len(found))
    n_windows = np.array([len(found[i].steps) - backbone.file.moments + 1 for i in order])
    kept = order[: 1 + int(np.searchsorted(np.cumsum(n_windows), MOST_WINDOWS))]
    return shipped.joined(bank_of([found[i] for i in np.sort(kept)], backbone, {}))
