"""Audio of one's own without the words: the room, the radio, the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.own_words.backbone import Backbone
from training.own_words.make_negatives import NegativeMaker, Source, neighbours
from training.own_words.negatives import SPEECH, Negatives

MOST_WINDOWS = 30_000


def with_folders(shipped: Negatives, backbone: Backbone, folders: Sequence[Path]) -> Negatives:
    """Return the shipped negatives and the windows of all audio in these folders.

    They count as running speech, for it is they that the words must not be heard in; each file
    is a group of its own.

    Raises
    ------
    ConfigError
        If a folder holds no audio.
    """
    maker = NegativeMaker(backbone)
    found = [
        embeddings
        for folder in folders
        for embeddings, _, _ in maker.windows(Source("speech", folder, MOST_WINDOWS))
    ]
    first_group = int(shipped.groups.max(initial=0)) + 1
    lengths = [len(one) for one in found]
    groups = np.repeat(np.arange(first_group, first_group + len(found)), lengths)
    kept = neighbours(lengths, MOST_WINDOWS // 2, np.random.default_rng(1))
    embeddings, groups = np.concatenate(found)[kept], groups[kept]
    return replace(
        shipped,
        embeddings=np.concatenate([shipped.embeddings, embeddings]),
        kinds=np.concatenate([shipped.kinds, np.full(len(embeddings), SPEECH, np.uint8)]),
        groups=np.concatenate([shipped.groups, groups.astype(np.int16)]),
        labels=np.concatenate([shipped.labels, np.full(len(embeddings), "")]),
        speech_hours=shipped.speech_hours + maker.speech_hours,
    )
