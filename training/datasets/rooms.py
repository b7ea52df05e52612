"""Room impulse responses: measured ones from a folder, and simulated shoe-box rooms."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kws.errors import ConfigError, MissingDependencyError
from kws.files import atomic_path
from training.config.data_sections import DataConfig
from training.datasets.clips import SAMPLE_RATE, Clip

FloatArray = NDArray[np.float32]
TABLE = "rooms.csv"
# Half a second: later reflections are 40 dB below the direct sound in most rooms.
MAX_SAMPLES = 8_000
# Samples kept before the strongest arrival.
LEAD_SAMPLES = 8
# Reflections after which the image-source method stops: the number of images grows with its cube.
MAX_ORDER = 24
SOUND_SPEED = 343.0


@dataclass(frozen=True)
class Room:
    """A simulated room: its size, its reverberation time, and how far the speaker is away."""

    length_m: float
    width_m: float
    height_m: float
    rt60_s: float
    distance_m: float


def read_rooms(root: Path | None) -> list[FloatArray]:
    """Return the room responses of a folder, each by `trimmed`; none without a folder."""
    if root is None or not root.is_dir():
        return []
    return [
        trimmed(Clip(path, "room").read().astype(np.float32))
        for path in sorted(root.iterdir())
        if path.suffix.lower() in {".wav", ".flac"}
    ]


def open_rooms(config: DataConfig) -> list[FloatArray]:
    """Return the measured and the simulated rooms that a recipe names.

    Raises
    ------
    ConfigError
        If the folder of simulated rooms does not exist.
    """
    simulated = config.path("simulated_rooms")
    if simulated and not simulated.is_dir():
        raise ConfigError(
            f"data.simulated_rooms: {simulated} does not exist; kws-train rooms --out {simulated}"
        )
    return read_rooms(config.path("rooms")) + read_rooms(simulated)


def trimmed(response: FloatArray) -> FloatArray:
    """Return a response from its strongest arrival on, unit energy, at most half a second."""
    start = int(np.argmax(np.abs(response)))
    response = response[max(0, start - LEAD_SAMPLES) : start + MAX_SAMPLES]
    return np.asarray(response / np.sqrt(np.sum(response**2)), np.float32)


def simulate_room(
    rng: np.random.Generator,
    *,
    distance_m: tuple[float, float] = (0.5, 5.0),
    rt60_s: tuple[float, float] = (0.15, 0.8),
) -> tuple[FloatArray, Room]:
    """Return the response of a drawn room by the image-source method (Allen and Berkley 1979).

    Parameters
    ----------
    rng : Generator
        Draws size, reverberation time, and the places of speaker and microphone.
    distance_m : (float, float)
        Range of the distance between them, in m.
    rt60_s : (float, float)
        Range of the time in which sound decays by 60 dB, in s (Sabine's formula).

    Returns
    -------
    response : ndarray of float32, shape (n_samples,)
        At 16 kHz, by `trimmed`.
    room : Room

    Raises
    ------
    MissingDependencyError
        If pyroomacoustics is not installed.
    """
    try:
        import pyroomacoustics as pra
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "simulated rooms need pyroomacoustics; pip install '.[train]' in a checkout of kws"
        ) from error
    while True:
        size = rng.uniform((2.5, 2.5, 2.3), (8.0, 6.5, 3.5))
        rt60 = rng.uniform(*rt60_s)
        speaker, microphone = rng.uniform(0.3, size - 0.3), rng.uniform(0.3, size - 0.3)
        distance = float(np.linalg.norm(speaker - microphone))
        try:
            absorption, order = pra.inverse_sabine(rt60, size)
        except ValueError:  # No walls absorb that much.
            continue
        if distance_m[0] <= distance <= distance_m[1]:
            break
    shoe_box = pra.ShoeBox(
        size,
        fs=SAMPLE_RATE,
        materials=pra.Material(absorption),
        max_order=min(order, MAX_ORDER),
    )
    shoe_box.add_source(speaker)
    shoe_box.add_microphone(microphone)
    shoe_box.compute_rir()
    response = trimmed(np.asarray(shoe_box.rir[0][0], np.float32))
    length, width, height = size.round(2).tolist()
    return response, Room(length, width, height, round(rt60, 3), round(distance, 2))


def write_rooms(out: Path, *, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Write simulated rooms as ``room-NNNN.wav`` and ``rooms.csv``; yield (done, count).

    Each room has a seed of its own, so that more rooms can be added later.

    Raises
    ------
    ConfigError
        If `count` is below 1.
    MissingDependencyError
        If pyroomacoustics is not installed.
    """
    if count < 1:
        raise ConfigError(f"--count: expected at least 1, got {count}")
    rows = []
    for number in range(count):
        response, room = simulate_room(np.random.default_rng((seed, number)))
        out.mkdir(parents=True, exist_ok=True)
        name = f"room-{number:04d}.wav"
        with atomic_path(out / name) as temporary:
            # A single arrival of unit energy is exactly full scale; half of it never clips.
            soundfile.write(temporary, response / 2, SAMPLE_RATE, subtype="PCM_16", format="WAV")
        rows.append({"file": name, **asdict(room)})
        yield number + 1, count
    with atomic_path(out / TABLE) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
