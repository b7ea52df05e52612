"""Promise 6 on real speech: stream equals window, in every interpreter that is installed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.skips import without_data

from kws.audio.files import read_file
from kws.features.streaming import log_mel
from kws.inference.interpreter import installed
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest

# CI runs ten minutes with one interpreter and fewer with the other, whose reference kernels take
# four times as long; `make equality` runs it all.
MINUTES = float(os.environ.get("KWS_EQUALITY_MINUTES", "10"))
RATE = 16_000
# One integer of the output.
LSB = 1 / 256


REQUIRED = bool(os.environ.get("KWS_REQUIRE_EQUALITY"))


def skip(reason: str) -> None:
    """Skip with a reason, unless this run is there for the comparison: then fail."""
    (pytest.fail if REQUIRED else pytest.skip)(reason)


@pytest.fixture(scope="module")
def ten_minutes(default_manifest) -> np.ndarray:
    """Log-mel of ten minutes of read speech."""
    folder = Path(os.environ.get("KWS_DATA", ""), "librispeech", "dev_clean")
    pieces: list[np.ndarray] = []
    wanted = int(MINUTES * 60 * RATE)
    for path in sorted(folder.glob("*.wav")):
        pieces.extend(read_file(path))
        if sum(map(len, pieces)) >= wanted:
            break
    else:
        (skip if REQUIRED else without_data)(
            f"KWS_DATA does not name {MINUTES:g} minutes of speech (librispeech/dev_clean)"
        )
    return log_mel(np.concatenate(pieces)[:wanted], default_manifest.frontend)


def posteriors(
    form: type[WindowModel] | type[StreamModel],
    manifest: ModelManifest,
    frames: np.ndarray,
    *,
    runtime: str,
    kernels: str,
) -> np.ndarray:
    """Return every hop's posterior, with resets and gaps on the way."""
    model = form(manifest, hop_frames=10, runtime=runtime, kernels=kernels)
    found = []
    # A stretch without a break, then shorter and shorter ones: odd lengths, each after a reset.
    ends = [len(frames) // 2, *range(len(frames) // 2 + 1_501, len(frames), 1_501), len(frames)]
    start = 0
    for end in ends:
        found.append(model.push(frames[start:end]))
        model.reset()
        start = end + 7
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kernels", ["reference", "default"])
@pytest.mark.parametrize("runtime", ["ai-edge-litert", "tflite-runtime"])
def test_every_hop_of_ten_minutes_of_speech_is_equal(
    default_manifest, ten_minutes, runtime, kernels
):
    """
    Reference kernels: the same integers. Default kernels: at most 1 apart. Also after resets
    and gaps.
    """
    if runtime not in installed():
        skip(f"{runtime} is not installed")
    options = {"runtime": runtime, "kernels": kernels}
    expected = posteriors(WindowModel, default_manifest, ten_minutes, **options)
    got = posteriors(StreamModel, default_manifest, ten_minutes, **options)

    assert len(expected) > 550 * MINUTES
    assert len(np.unique(expected, axis=0)) > 100 * MINUTES
    if kernels == "reference":
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=0, atol=LSB)
