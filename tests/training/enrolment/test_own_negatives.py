"""Audio of one's own among the negatives."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")

from kws.errors import ConfigError
from training.enrolment.user_negatives import with_folders


def test_each_file_is_a_group_of_its_own(backbone, negatives, tmp_path, rng):
    """Files of one name with numbers are not taken for one speaker; all are running speech."""
    for index in range(3):
        samples = rng.normal(0, 500, 32_000).astype(np.int16)
        soundfile.write(tmp_path / f"radio_{index}.wav", samples, 16_000)

    joined = with_folders(negatives, backbone, [tmp_path])

    added = joined.groups[len(negatives.groups) :]
    assert 3 == len(np.unique(added))
    assert added.min() > negatives.groups.max()
    assert len(joined) > len(negatives)
    more_s = 3600 * (joined.speech_hours(backbone.hop_s) - negatives.speech_hours(backbone.hop_s))
    assert pytest.approx(3 * 0.96, abs=0.3) == more_s


def test_audio_shorter_than_a_window_is_one_clear_error(backbone, negatives, tmp_path, rng):
    """A folder that gives nothing to learn from is said to."""
    samples = rng.normal(0, 500, 8_000).astype(np.int16)
    soundfile.write(tmp_path / "short.wav", samples, 16_000)

    with pytest.raises(ConfigError, match=r"expected audio of at least 1\.1 s"):
        with_folders(negatives, backbone, [tmp_path])
