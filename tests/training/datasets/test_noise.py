"""Background noise: recordings split by time, cut at random places; babble."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.errors import ConfigError
from training.datasets import noise
from training.datasets.noise import NoiseRecordings, esc_noise, noise_files, split_noise

SECOND = 16_000


@pytest.fixture
def root(tmp_path):
    """A tree with one recording of 100 s whose samples are their positions in 100ths of it."""
    (tmp_path / "_background_noise_").mkdir()
    places = np.repeat(np.arange(100), SECOND).astype(np.int16)
    soundfile.write(str(tmp_path / "_background_noise_" / "hum.wav"), places, SECOND)
    (tmp_path / "_background_noise_" / "README.md").write_text("no audio")
    return tmp_path


@pytest.mark.parametrize(
    ("split", "first", "last"),
    [("training", 0, 79), ("validation", 80, 89), ("testing", 90, 99)],
)
def test_each_split_has_its_own_part_of_a_recording(root, split, first, last):
    """
    The first eight tenths train, the next validates, the last tests: no sample in two splits.
    """
    (part,) = split_noise(root, split).recordings

    assert sorted(set(part.tolist())) == list(range(first, last + 1))
    assert len(part) == (last - first + 1) * SECOND


def test_only_audio_counts_as_noise(root, tmp_path):
    """
    Other files in the folder are passed over; a tree without the folder has no noise.
    """
    assert [path.name for path in noise_files(root)] == ["hum.wav"]
    assert noise_files(root / "elsewhere") == []
    assert split_noise(root / "elsewhere", "training").recordings == ()


def test_cuts_are_stretches_of_a_recording(rng):
    """
    A cut is so many samples in a row, from anywhere in any recording.
    """
    cache = NoiseRecordings(
        (np.arange(1_000, dtype=np.int16), np.arange(5_000, 5_500, dtype=np.int16))
    )
    cuts = [cache.cut(rng, 400) for _ in range(300)]
    starts = {int(cut[0]) for cut in cuts}

    assert all(np.array_equal(cut, cut[0] + np.arange(400)) for cut in cuts)
    assert any(start < 1_000 for start in starts)
    assert any(start >= 5_000 for start in starts)
    assert len(starts) > 100


def test_short_recordings_are_repeated(rng):
    """
    A recording shorter than the cut goes round.
    """
    cut = NoiseRecordings((np.array([1, 2, 3], dtype=np.int16),)).cut(rng, 10)

    assert len(cut) == 10
    assert all((cut[1:] - cut[:-1]) % 3 == 1)


def test_environmental_sounds_are_split_by_fold(tmp_path):
    """
    ESC's folds come from different recordings: 1 to 4 train, 5 is held out.
    """
    for fold in range(1, 6):
        path = tmp_path / "rain" / f"{fold}-17367-A.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(str(path), np.full(100, fold, dtype=np.int16), SECOND)

    training = [int(part[0]) for part in esc_noise(tmp_path, "training").recordings]
    validation = [int(part[0]) for part in esc_noise(tmp_path, "validation").recordings]

    assert training == [1, 2, 3, 4]
    assert validation == [5]


def test_a_sound_whose_name_tells_no_fold_is_named(tmp_path):
    """
    Nobody knows whether such a sound trains or is held out: it is an error.
    """
    for name in ("1-17367-A.wav", "storm.wav"):
        (tmp_path / "rain").mkdir(exist_ok=True)
        soundfile.write(str(tmp_path / "rain" / name), np.zeros(100, dtype=np.int16), SECOND)

    with pytest.raises(ConfigError, match=r"rain.storm\.wav: expected a name that begins with"):
        esc_noise(tmp_path, "training")


def test_babble_is_several_voices():
    """
    Three to six voices are drawn, each is in the mix, and a silent one does no harm.
    """
    asked = []

    def speech() -> np.ndarray:
        asked.append(1)
        hz = 200 * len(asked)
        wave = 0 if len(asked) == 2 else np.sin(np.arange(SECOND) * hz * 2 * np.pi / SECOND)
        return np.full(SECOND, 0, np.int16) + np.int16(3_000 * wave)

    made = noise.babble(np.random.default_rng(5), SECOND, speech)
    spectrum = np.abs(np.fft.rfft(made.astype(float)))
    audible = [200 * (n + 1) for n in range(len(asked)) if n != 1]

    assert 3 <= len(asked) <= 6
    assert all(spectrum[hz] > 100 * np.median(spectrum) for hz in audible)
    assert spectrum[400] < spectrum[200] / 100


def test_changed_cuts_differ_in_speed_and_mixture():
    """
    A recording of one tone becomes many: other pitches, and mixtures of two of them.
    """
    tone = (5_000 * np.sin(np.arange(5 * SECOND) * 2 * np.pi * 500 / SECOND)).astype(np.int16)
    rng = np.random.default_rng(1)
    drawn = [NoiseRecordings((tone,)).cut_changed(rng, SECOND) for _ in range(40)]
    loud = [np.flatnonzero(np.abs(np.fft.rfft(one)) > 1e7) for one in drawn]

    assert {(SECOND,)} == {one.shape for one in drawn}
    assert min(found.min() for found in loud) < 350
    assert max(found.max() for found in loud) > 700
    # A second tone beside the first in some of them.
    assert 5 < sum(found.max() - found.min() > 30 for found in loud) < 35
