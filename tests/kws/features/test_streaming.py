"""Streamed frames equal a whole clip's, each computed once."""

from __future__ import annotations

import numpy as np
import pytest

from kws.config import FrontendConfig
from kws.errors import AudioError
from kws.features.streaming import LogMelFrontend, log_mel


def push_in_pieces(frontend: LogMelFrontend, clip: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([frontend.push(clip[at : at + n]) for at in range(0, len(clip), n)])


@pytest.mark.parametrize("chunk_samples", [1, 159, 160, 161, 399, 400, 401, 4_000, 16_000])
def test_frames_do_not_depend_on_chunking(rng, chunk_samples):
    """
    However the audio is cut, the streamed frames equal the whole clip's.
    """
    config = FrontendConfig()
    clip = rng.integers(-2_000, 2_000, size=16_000, dtype=np.int16)

    expected = log_mel(clip, config)
    streamed = push_in_pieces(LogMelFrontend(config), clip, chunk_samples)

    np.testing.assert_allclose(streamed, expected, atol=1e-4)


def test_frames_without_overlap(rng):
    """
    A step as long as the frame leaves no sample out and counts none twice.
    """
    config = FrontendConfig(frame_length_ms=20, frame_step_ms=20)
    clip = rng.integers(-2_000, 2_000, size=3_205, dtype=np.int16)

    expected = np.concatenate([log_mel(clip[at : at + 320], config) for at in range(0, 3_200, 320)])

    np.testing.assert_allclose(log_mel(clip, config), expected, atol=1e-4)
    np.testing.assert_allclose(
        push_in_pieces(LogMelFrontend(config), clip, 77), expected, atol=1e-4
    )


def test_a_frame_comes_with_its_last_sample(rng):
    """
    Nothing is given before a frame is whole, and it is given at once when it is.
    """
    frontend = LogMelFrontend(FrontendConfig())
    clip = rng.integers(-2_000, 2_000, size=560, dtype=np.int16)

    assert frontend.push(clip[:399]).shape == (0, 40)
    assert frontend.push(clip[399:400]).shape == (1, 40)
    assert frontend.push(clip[400:559]).shape == (0, 40)
    assert frontend.push(clip[559:]).shape == (1, 40)


def test_an_empty_push_changes_nothing(rng):
    """
    Zero samples give zero frames and leave the stream as it was.
    """
    config = FrontendConfig()
    clip = rng.integers(-2_000, 2_000, size=1_000, dtype=np.int16)
    frontend = LogMelFrontend(config)

    first = frontend.push(clip[:500])
    nothing = frontend.push(clip[:0])
    rest = frontend.push(clip[500:])

    assert nothing.shape == (0, 40)
    np.testing.assert_allclose(np.concatenate((first, rest)), log_mel(clip, config), atol=1e-4)


def test_reset_equals_new(rng):
    """
    After reset, a used front end gives what a new one gives.
    """
    config = FrontendConfig()
    clip = rng.integers(-2_000, 2_000, size=2_000, dtype=np.int16)
    used = LogMelFrontend(config)
    used.push(rng.integers(-30_000, 30_000, size=777, dtype=np.int16))
    used.reset()

    np.testing.assert_array_equal(used.push(clip), LogMelFrontend(config).push(clip))


def test_the_caller_may_reuse_its_buffer(rng):
    """
    Samples are kept by value: writing over the array after a push changes no later frame.
    """
    config = FrontendConfig()
    clip = rng.integers(-2_000, 2_000, size=1_000, dtype=np.int16)
    frontend = LogMelFrontend(config)
    buffer = clip[:300].copy()
    frontend.push(buffer)
    buffer[:] = 32_767

    np.testing.assert_allclose(frontend.push(clip[300:]), log_mel(clip, config), atol=1e-4)


def test_batches_equal_single_clips(rng):
    """
    Whole-clip features of a batch are those of each clip.
    """
    config = FrontendConfig()
    clips = rng.integers(-2_000, 2_000, size=(2, 3, 1_600), dtype=np.int16)
    batch = log_mel(clips, config)

    assert batch.shape == (2, 3, 8, 40)
    np.testing.assert_allclose(batch[1, 2], log_mel(clips[1, 2], config), atol=1e-4)


def test_strided_audio_counts_as_what_it_holds(rng):
    """
    A view with a step (one channel of an interleaved block) gives the channel's frames.
    """
    config = FrontendConfig()
    stereo = rng.integers(-2_000, 2_000, size=(1_600, 2), dtype=np.int16)
    channel = stereo[:, 1]

    expected = log_mel(channel.copy(), config)

    np.testing.assert_array_equal(log_mel(channel, config), expected)
    np.testing.assert_array_equal(LogMelFrontend(config).push(channel), expected)


def test_audio_shorter_than_a_frame_has_no_frames():
    """
    399 samples make no frame: an empty array of the right width, no error.
    """
    assert log_mel(np.zeros(399, dtype=np.int16), FrontendConfig()).shape == (0, 40)


@pytest.mark.parametrize(
    ("samples", "got"),
    [
        (np.zeros(400, dtype=np.float32), r"float32 \(400,\)"),
        (np.zeros((400, 1), dtype=np.int16), r"int16 \(400, 1\)"),
        (np.zeros(400, dtype=np.int32), r"int32 \(400,\)"),
        ([0, 1, 2], "list"),
    ],
)
def test_only_int16_mono_is_taken(samples, got):
    """
    Anything but int16 (n,) is an AudioError that names what was found.
    """
    with pytest.raises(AudioError, match=rf"expected an int16 array .* got {got}"):
        LogMelFrontend(FrontendConfig()).push(samples)
