"""Recorders into a folder of the test's own, and noise for them."""

from __future__ import annotations

import numpy as np
import pytest
from support.clip_files import NOON, RATE

from kws.live.recorder import DetectionRecorder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clips"


@pytest.fixture
def record(folder):
    """Make a recorder into `folder`, at a fixed time of day."""

    def make(**options) -> DetectionRecorder:
        return DetectionRecorder(folder, sample_rate=RATE, now=lambda: NOON, **options)

    return make


@pytest.fixture
def audio(rng):
    """Ten seconds of noise: each stretch of it is found in one place only."""
    return rng.integers(-30_000, 30_000, 10 * RATE, dtype=np.int16)
