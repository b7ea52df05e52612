"""Recordings: the word is located, and unusable files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="kws-enroll needs its extra")
import soundfile

from kws.errors import AudioError, ConfigError
from training.enrolment.recordings import (
    checked,
    folders_of,
    is_clipped,
    read_recordings,
    stands_out,
)

RATE = 16_000


def burst(start_s: float, length_s: float, *, total_s: float = 3.0, level: float = 3_000.0):
    """Return faint noise with a louder stretch."""
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 10, int(total_s * RATE))
    first = int(start_s * RATE)
    samples[first : first + int(length_s * RATE)] += rng.normal(0, level, int(length_s * RATE))
    return np.clip(samples, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("start_s", [0.2, 1.0, 2.4])
def test_the_middle_is_that_of_the_loud_stretch(start_s):
    """The middle of the word is found within 30 ms."""
    found = checked("lamp", Path("x.wav"), burst(start_s, 0.5))

    assert found.middle / RATE == pytest.approx(start_s + 0.25, abs=0.03)


def test_a_pause_inside_a_phrase_is_part_of_it():
    """Two syllables 120 ms apart are one phrase; a knock half a second later is not part of it."""
    samples = burst(0.5, 0.3) + burst(0.92, 0.3) // 2 + burst(1.9, 0.02, level=2_000)

    found = checked("hey lamp", Path("x.wav"), samples)

    assert found.middle / RATE == pytest.approx((0.5 + 1.22) / 2, abs=0.04)


def test_a_window_is_filled_with_silence_beyond_the_ends():
    """A word at the start of a recording is in the middle of its window."""
    found = checked("lamp", Path("x.wav"), burst(0.0, 0.4, total_s=1.0))
    window = found.window()

    assert len(window) == RATE
    assert not window[: RATE // 2 - found.middle].any()
    np.testing.assert_array_equal(
        window[RATE // 2 - found.middle :][: found.middle], found.samples[: found.middle]
    )


def test_a_shift_moves_the_word_later():
    """A positive shift moves the samples later in the window."""
    found = checked("lamp", Path("x.wav"), burst(1.2, 0.4))

    np.testing.assert_array_equal(found.window()[:-800], found.window(shift=800)[800:])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(16_000, np.int16), "got silence"),
        (np.full(1_000, 900, np.int16), "0.2 to 10 s"),
        (np.full(200_000, 900, np.int16), "got 12.5 s"),
    ],
)
def test_recordings_without_a_word_are_refused(samples, message):
    """Silence, and too short or too long files, are one line that names the file."""
    with pytest.raises(AudioError, match=message) as caught:
        checked("lamp", Path("there/x.wav"), samples)

    assert "there/x.wav" in str(caught.value)


def test_clipping_and_a_loud_background_are_detected():
    """Samples at full scale are clipped; constant loudness does not stand out."""
    loud = burst(1.0, 0.5, level=60_000)
    even = np.random.default_rng(2).normal(0, 800, 2 * RATE).astype(np.int16)

    assert (True, False) == (is_clipped(loud), is_clipped(burst(1.0, 0.5)))
    assert (True, False) == (stands_out(burst(1.0, 0.5)), stands_out(even))


def test_folders_of_words(tmp_path):
    """A single word may use the folder itself; several words need one folder each."""
    (tmp_path / "lamp").mkdir()

    assert {"lamp": tmp_path / "lamp"} == folders_of(["lamp"], tmp_path)
    assert {"fan": tmp_path} == folders_of(["fan"], tmp_path)
    folders = folders_of(["lamp", "fan"], tmp_path)
    with pytest.raises(ConfigError, match="fan: expected a folder with recordings of 'fan'"):
        read_recordings("fan", folders["fan"])


@pytest.mark.parametrize("words", [["a/b"], ["../x"], [""], ["lamp", "lamp"], ["x" * 60], ["-x"]])
def test_invalid_words_are_refused(words, tmp_path):
    """A word becomes a file name: no path, no duplicate, not too long."""
    with pytest.raises(ConfigError, match="expected"):
        folders_of(words, tmp_path)


def test_files_without_a_word_can_be_skipped(tmp_path):
    """With `skip` a silent file is reported and skipped; without, it is an error."""
    soundfile.write(tmp_path / "good.wav", burst(1.0, 0.5), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE, np.int16), RATE)
    reasons: list[str] = []

    found = read_recordings("lamp", tmp_path, skip=reasons.append)

    assert ["good.wav"] == [one.path.name for one in found]
    assert len(reasons) == 1
    assert "silent.wav" in reasons[0]
    with pytest.raises(AudioError, match=r"silent\.wav"):
        read_recordings("lamp", tmp_path)


def test_a_folder_without_audio_is_an_error(tmp_path):
    """Text files are no recordings."""
    (tmp_path / "notes.txt").write_text("lamp")

    with pytest.raises(ConfigError, match="expected recordings of 'lamp', found none"):
        read_recordings("lamp", tmp_path)
