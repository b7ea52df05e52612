"""The whole window at every hop: pushed in pieces equals predicted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from kws.errors import AudioError
from kws.inference.window_model import WindowModel


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Six seconds of log-mel that changes all the time."""
    rng = np.random.default_rng(4)
    walk = np.cumsum(rng.normal(0, 0.6, (600, 40)), axis=0)
    return (-5 + 4 * np.sin(walk)).astype(np.float32)


def expected_posteriors(model: WindowModel, frames: np.ndarray) -> np.ndarray:
    starts = range(0, len(frames) - model.window_frames + 1, model.hop_frames)
    return np.stack([model.predict(frames[at : at + model.window_frames]) for at in starts])


@pytest.mark.parametrize("piece", [1, 7, 10, 97, 98, 99, 600])
@pytest.mark.parametrize("hop_frames", [1, 10, 33, 98])
def test_pushing_pieces_equals_predicting_windows(default_manifest, frames, hop_frames, piece):
    """
    However the frames are cut, there is one posterior a hop: that of the window it ends.
    """
    model = WindowModel(default_manifest, hop_frames=hop_frames)
    audio = frames[:200] if hop_frames == 1 else frames

    expected = expected_posteriors(model, audio)
    pushed = np.concatenate(
        [model.push(audio[at : at + piece]) for at in range(0, len(audio), piece)]
    )

    np.testing.assert_array_equal(pushed, expected)


@pytest.mark.parametrize("hop_frames", [100, 130, 250])
def test_a_hop_longer_than_the_window_leaves_frames_out(default_manifest, frames, hop_frames):
    """
    With hops beyond the window, the frames between two windows count for neither, for ever.
    """
    model = WindowModel(default_manifest, hop_frames=hop_frames)
    audio = np.tile(frames, (11, 1))

    expected = expected_posteriors(model, audio)
    pushed = np.concatenate([model.push(audio[at : at + 77]) for at in range(0, len(audio), 77)])

    assert len(expected) > 20
    np.testing.assert_array_equal(pushed, expected)


def test_posteriors_tell_windows_apart(default_manifest, frames):
    """
    The windows of these tests do give different posteriors, each of which sums to 1.
    """
    posteriors = expected_posteriors(WindowModel(default_manifest, hop_frames=10), frames)

    assert len(np.unique(posteriors, axis=0)) > len(posteriors) // 2
    np.testing.assert_allclose(posteriors.sum(axis=1), 1, atol=0.05)
    assert posteriors.dtype == np.float32


def test_nothing_before_the_first_window_is_full(default_manifest, frames):
    """
    97 frames give no posterior, the 98th gives one, the next comes a hop later.
    """
    model = WindowModel(default_manifest, hop_frames=10)

    assert model.push(frames[:97]).shape == (0, 12)
    assert model.push(frames[97:98]).shape == (1, 12)
    assert model.push(frames[98:107]).shape == (0, 12)
    assert model.push(frames[107:108]).shape == (1, 12)


def test_reset_equals_new(default_manifest, frames):
    """
    After reset the next posterior comes after a full window.
    """
    used = WindowModel(default_manifest, hop_frames=10)
    used.push(frames[:333])
    used.reset()
    new = WindowModel(default_manifest, hop_frames=10)

    expected = new.push(frames[100:300])

    np.testing.assert_array_equal(used.push(frames[100:300]), expected)


def test_predict_leaves_the_stream_alone(default_manifest, frames):
    """
    Asking about one window in between does not disturb the stream.
    """
    model = WindowModel(default_manifest, hop_frames=10)
    expected = expected_posteriors(model, frames[:200])
    first = model.push(frames[:123])
    model.predict(frames[400:498])
    rest = model.push(frames[123:200])

    np.testing.assert_array_equal(np.concatenate((first, rest)), expected)


def test_posteriors_are_the_callers_own(default_manifest, frames):
    """
    A posterior given earlier does not change when the model runs again.
    """
    model = WindowModel(default_manifest, hop_frames=10)
    first = model.predict(frames[:98])
    copy = first.copy()
    model.predict(frames[200:298])

    np.testing.assert_array_equal(first, copy)


@pytest.mark.parametrize("shape", [(97, 40), (98, 39), (1, 98, 40)])
def test_a_window_of_another_shape_is_refused(default_manifest, shape):
    """
    Frames of the wrong shape are an error.
    """
    model = WindowModel(default_manifest, hop_frames=10)

    with pytest.raises(AudioError, match=r"expected features \(98, 40\), got"):
        model.predict(np.zeros(shape, dtype=np.float32))
