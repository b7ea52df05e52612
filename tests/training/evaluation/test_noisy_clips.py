"""Words over noise at a stated level."""

import numpy as np
import pytest
import soundfile

from kws.errors import ConfigError
from training.datasets.clips import Clip
from training.datasets.noise import NoiseRecordings, loud_level
from training.evaluation.noisy_clips import NoisyClip, held_out_noise, over_noise

RATE = 16_000


@pytest.fixture
def clip(tmp_path):
    """Return a clip of 0.7 s with a tone in its middle."""
    times = np.arange(int(0.7 * RATE)) / RATE
    samples = 3_000 * np.sin(2 * np.pi * 440 * times) * (abs(times - 0.35) < 0.2)
    soundfile.write(tmp_path / "tone.wav", samples.astype(np.int16), RATE)
    return Clip(tmp_path / "tone.wav", "tone")


def hiss(rng, seconds=3):
    return (rng.standard_normal(seconds * RATE) * 500).astype(np.int16)


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_level_is_the_one_asked_for(clip, rng, snr_db):
    """
    The clip's loudest 300 ms are `snr_db` above the RMS of the noise, which fills the window.
    """
    (mixed,) = over_noise(
        [clip], NoiseRecordings((hiss(rng),)), snr_db=snr_db, window_s=1.0, seed=1
    )

    mix = mixed.read().astype(float)
    noise = mix.copy()
    noise[: int(0.7 * RATE)] -= clip.read()
    level = 20 * np.log10(loud_level(clip.read()) / np.sqrt(np.mean(noise**2)))
    assert RATE == len(mix)
    assert snr_db == pytest.approx(level, abs=0.05)
    assert "tone" == mixed.label


def test_noise_is_the_same_at_every_level(clip, rng):
    """
    The noise of a clip depends on the seed and its place alone, so that levels compare.
    """
    bank = NoiseRecordings((hiss(rng), hiss(rng)))
    made = [
        over_noise([clip, clip], bank, snr_db=snr_db, window_s=1.0, seed=seed)
        for snr_db, seed in ((20.0, 1), (5.0, 1), (5.0, 2))
    ]

    first, second, third = ([item.noise for item in clips] for clips in made)
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert not np.array_equal(second[0], second[1])
    assert not np.array_equal(second[0], third[0])


def test_digital_silence_is_no_noise(clip, rng):
    """
    Silent cuts are drawn again; noise without anything else is an error.
    """
    silence = np.zeros(RATE, dtype=np.int16)

    mixed = over_noise(
        [clip] * 20, NoiseRecordings((silence, hiss(rng))), snr_db=10, window_s=1.0, seed=1
    )

    assert min(np.abs(item.noise).max() for item in mixed) > 0
    with pytest.raises(ConfigError, match="digital silence"):
        over_noise([clip], NoiseRecordings((silence,)), snr_db=10, window_s=1.0, seed=1)


def test_held_out_noise_is_what_training_does_not_hear(word_tree, tmp_path):
    """
    The ninth tenth of background recordings and the fifth fold of environmental sounds.
    """
    root = word_tree({"yes": {"validation": 1}}, noise_s=10)
    (tmp_path / "esc10" / "rain").mkdir(parents=True)
    for fold in (1, 5):
        samples = np.full(RATE, fold, dtype=np.int16)
        soundfile.write(tmp_path / "esc10" / "rain" / f"{fold}-0-A-1.wav", samples, RATE)
    whole, _ = soundfile.read(root / "_background_noise_" / "hiss.wav", dtype="int16")

    found = held_out_noise(root, "validation")

    background, sound = found.bank.recordings
    assert np.array_equal(whole[8 * RATE : 9 * RATE], background)
    assert {5} == set(sound)
    assert (
        "80 to 90 % of each of 1 background recordings",
        "1 recordings of fold 5 of esc10",
    ) == found.sources


def test_short_clip_is_padded_before_it_is_mixed(clip, rng):
    """
    Noise goes on where the clip has ended.
    """
    mixed = NoisyClip(clip, hiss(rng, 1), 10.0).read()

    assert np.abs(mixed[int(0.75 * RATE) :]).max() > 100
