"""The clips that `--record` keeps: how long they are, and what lies in a folder of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
WAV_HEADER_BYTES = 44
CLIP_BYTES = WAV_HEADER_BYTES + 2 * 2 * RATE
NOON = datetime(2026, 11, 22, 3, 25, 1)


def clips(folder: Path) -> dict[str, np.ndarray]:
    """Return the clips by name; all are mono 16-bit WAV at 16 kHz, and nothing else is there."""
    found = {}
    for path in sorted(folder.iterdir()):
        info = soundfile.info(path)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        assert (info.channels, info.samplerate) == (1, RATE)
        found[path.name] = soundfile.read(path, dtype="int16")[0]
    return found
