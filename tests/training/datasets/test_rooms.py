"""Room responses: measured ones are trimmed, simulated ones follow their drawn room."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.errors import ConfigError
from training.config.data_sections import DataConfig
from training.datasets import rooms

SECOND = 16_000


def test_room_responses_begin_at_their_first_arrival(tmp_path):
    """
    Delay before the direct sound is cut off, energy is 1, and only audio is read.
    """
    response = np.zeros(20_000)
    response[3_000], response[3_500] = 0.8, 0.3
    soundfile.write(str(tmp_path / "room.wav"), response, SECOND)
    (tmp_path / "README.txt").write_text("no audio")
    (room,) = rooms.read_rooms(tmp_path)

    assert int(np.abs(room).argmax()) == 8
    assert float(np.sum(room**2)) == pytest.approx(1, abs=1e-4)
    assert len(room) <= 8_008
    assert rooms.read_rooms(None) == rooms.read_rooms(tmp_path / "none") == []


def test_a_missing_folder_of_simulated_rooms_names_the_command(tmp_path):
    """
    Training without the rooms that a recipe names would be another training.
    """
    config = DataConfig(clips=str(tmp_path), rooms="", simulated_rooms=str(tmp_path / "none"))

    with pytest.raises(ConfigError, match=r"none does not exist; kws-train rooms --out"):
        rooms.open_rooms(config)


def test_simulated_rooms_reverberate_as_long_as_drawn():
    """
    Distance and reverberation time keep their ranges, and a livelier room decays more slowly.
    """
    pytest.importorskip("pyroomacoustics", reason="rooms need the extra [train]")
    spans = {"dry": (0.15, 0.2), "lively": (0.6, 0.8)}
    late = {}
    for name, span in spans.items():
        drawn = [
            rooms.simulate_room(np.random.default_rng(seed), distance_m=(1.0, 2.0), rt60_s=span)
            for seed in range(4)
        ]
        assert all(1.0 <= room.distance_m <= 2.0 for _, room in drawn)
        assert all(span[0] <= room.rt60_s <= span[1] for _, room in drawn)
        assert all(int(np.abs(response).argmax()) <= 8 for response, _ in drawn)
        late[name] = np.mean([np.sum(response[1_600:] ** 2) for response, _ in drawn])

    assert late["lively"] > 10 * late["dry"]


def test_more_rooms_continue_the_same_series(tmp_path):
    """
    The first rooms of a larger set are those of a smaller one; the table names each file.
    """
    pytest.importorskip("pyroomacoustics", reason="rooms need the extra [train]")
    few, more = tmp_path / "few", tmp_path / "more"
    assert list(rooms.write_rooms(few, count=1, seed=3)) == [(1, 1)]
    assert list(rooms.write_rooms(more, count=2, seed=3))[-1] == (2, 2)
    with open(more / "rooms.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))

    assert [row["file"] for row in rows] == ["room-0000.wav", "room-0001.wav"]
    assert (few / "room-0000.wav").read_bytes() == (more / "room-0000.wav").read_bytes()
    assert len(rooms.read_rooms(more)) == 2
    with pytest.raises(ConfigError, match="--count: expected at least 1, got 0"):
        list(rooms.write_rooms(few, count=0, seed=1))
