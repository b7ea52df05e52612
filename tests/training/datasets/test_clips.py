"""Clips: read lazily, as the runtime reads audio."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from kws.audio.files import read_file
from kws.errors import AudioError
from training.datasets.clips import Clip, SampleCache, fit_length


@pytest.fixture
def ramp(tmp_path):
    """A file whose samples are their positions."""
    path = tmp_path / "ramp.wav"
    soundfile.write(str(path), np.arange(10_000, dtype=np.int16), 16_000)
    return path


def test_a_clip_is_what_the_file_holds(ramp):
    """
    Without a cut the whole file is read, every sample as it is.
    """
    samples = Clip(ramp, "yes").read()

    assert samples.dtype == np.int16
    assert samples.tolist() == list(range(10_000))


def test_a_cut_is_a_stretch_of_the_file(ramp):
    """
    start and n_samples count at the file's rate; a cut that runs out ends with the file.
    """
    assert Clip(ramp, "yes", 100, 5).read().tolist() == [100, 101, 102, 103, 104]
    assert Clip(ramp, "yes", 9_998, 5).read().tolist() == [9_998, 9_999]
    assert Clip(ramp, "yes", 9_997).read().tolist() == [9_997, 9_998, 9_999]


def test_gain_rounds_and_clips(tmp_path):
    """
    A factor on the samples goes to the nearest value and never wraps.
    """
    path = tmp_path / "a.wav"
    soundfile.write(str(path), np.array([3, -3, 5, 30_000, -30_000], dtype=np.int16), 16_000)

    assert Clip(path, "yes", gain=0.5).read().tolist() == [2, -2, 2, 15_000, -15_000]
    assert Clip(path, "yes", gain=2.0).read().tolist() == [6, -6, 10, 32_767, -32_768]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize(
    ("rate", "n_channels"), [(16_000, 1), (16_000, 2), (44_100, 1), (48_000, 2)]
)
def test_training_reads_audio_as_the_runtime_does(tmp_path, rng, rate, n_channels, subtype):
    """
    A file of any rate, channel count and format gives the same samples on both sides.
    """
    path = tmp_path / "a.wav"
    soundfile.write(str(path), rng.normal(0, 0.2, (rate, n_channels)), rate, subtype=subtype)

    expected = np.concatenate(list(read_file(path)))

    assert np.abs(expected).max() > 10_000
    np.testing.assert_array_equal(Clip(path, "yes").read(), expected)


def test_what_is_no_audio_is_named(tmp_path):
    """
    A missing file and a text are errors of ours that name the file.
    """
    (tmp_path / "text.wav").write_text("no audio")

    for name in ("none.wav", "text.wav"):
        with pytest.raises(AudioError, match=f"{name}: expected"):
            Clip(tmp_path / name, "yes").read()


def test_short_clips_end_in_zeros():
    """
    As Speech Commands' own tools do.
    """
    assert fit_length(np.array([1, 2], dtype=np.int16), 4).tolist() == [1, 2, 0, 0]


def test_long_clips_keep_their_loudest_stretch():
    """
    The second with the most energy is where the word is.
    """
    samples = np.zeros(48_000, dtype=np.int16)
    samples[20_000:30_000] = 500
    fitted = fit_length(samples, 16_000)

    assert len(fitted) == 16_000
    assert np.count_nonzero(fitted) == 10_000


def test_the_cache_reads_once(ramp):
    """
    A clip in memory is given again without its file, and cannot be changed by accident.
    """
    cache = SampleCache()
    first = cache.read(Clip(ramp, "yes"))
    ramp.unlink()
    second = cache.read(Clip(ramp, "yes"))

    assert second.tolist() == first.tolist() == list(range(10_000))
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 1


def test_the_cache_keeps_to_its_size(tmp_path):
    """
    What does not fit is read from disk each time; different cuts are different clips.
    """
    path = tmp_path / "a.wav"
    soundfile.write(str(path), np.arange(100, dtype=np.int16), 16_000)
    cache = SampleCache(max_bytes=100)
    kept, other = Clip(path, "yes", 0, 40), Clip(path, "yes", 40, 40)
    cache.read(kept)
    cache.read(other)
    path.unlink()

    assert cache.read(kept).tolist() == list(range(40))
    with pytest.raises(AudioError, match="expected an audio file"):
        cache.read(other)
