"""Record a word at the microphone: wait for it, cut it out, and check it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kws.audio.conditioning import Conditioner
from kws.audio.microphone import Microphone
from kws.errors import AudioError, DeviceError
from kws.files import atomic_path
from training.datasets.clips import SAMPLE_RATE
from training.enrolment.recordings import Recording, checked, is_clipped, stands_out

BLOCK = SAMPLE_RATE // 50
# Speech starts when 60 ms are this much louder than the quietest block of the last second. It
# ends after half a second that is not: pauses inside a phrase are shorter.
ONSET_DB, ONSET_BLOCKS, END_BLOCKS = 12.0, 3, 25
LEAD_BLOCKS, LONGEST_BLOCKS = 15, 200
WAIT_S = 10.0
NO_BLOCK_S = 3.0
TRIES = 5


class NothingSaidError(AudioError):
    """The user said nothing in time."""


@contextmanager
def microphone_blocks(device: int | str | None) -> Iterator[Iterator[NDArray[np.int16]]]:
    """Open the microphone; yield an iterator over its 20 ms blocks at 16 kHz, without DC offset.

    Raises
    ------
    DeviceError
        If it cannot be opened, or delivers no audio for 3 s.
    """
    microphone = Microphone(device)
    try:
        yield _blocks(microphone, Conditioner(microphone.rate, SAMPLE_RATE))
    finally:
        microphone.close()


def _blocks(microphone: Microphone, conditioner: Conditioner) -> Iterator[NDArray[np.int16]]:
    rest = np.empty(0, np.int16)
    last = time.monotonic()
    while True:
        samples = microphone.buffer.read()
        if len(samples):
            last = time.monotonic()
            rest = np.concatenate([rest, conditioner.push(samples)])
            while len(rest) >= BLOCK:
                yield rest[:BLOCK]
                rest = rest[BLOCK:]
            continue
        if microphone.ended.is_set() or time.monotonic() - last > NO_BLOCK_S:
            raise DeviceError("the microphone delivers no audio; check it and start again")
        microphone.ready.wait(0.1)
        microphone.ready.clear()


def one_utterance(
    blocks: Iterator[NDArray[np.int16]], *, wait_s: float = WAIT_S
) -> NDArray[np.int16]:
    """Return the next utterance, with 0.3 s before it and 0.5 s after it.

    Raises
    ------
    NothingSaidError
        If there is none within `wait_s` seconds of audio.
    """
    recent: deque[NDArray[np.int16]] = deque(maxlen=LEAD_BLOCKS + ONSET_BLOCKS)
    levels: deque[float] = deque(maxlen=50)
    taken: list[NDArray[np.int16]] = []
    loud = quiet = 0
    for number, block in enumerate(blocks):
        level = _level_db(block)
        floor = min(levels, default=level)
        is_loud = level > floor + ONSET_DB and level > -60.0
        if not taken:
            levels.append(level)
            recent.append(block)
            loud = loud + 1 if is_loud else 0
            if loud >= ONSET_BLOCKS:
                taken = list(recent)
            elif number * BLOCK > wait_s * SAMPLE_RATE:
                raise NothingSaidError(f"no speech for {wait_s:g} s")
            continue
        taken.append(block)
        quiet = 0 if is_loud else quiet + 1
        if quiet >= END_BLOCKS or len(taken) >= LONGEST_BLOCKS:
            break
    return np.concatenate(taken) if taken else np.empty(0, np.int16)


def record(
    word: str,
    folder: Path,
    blocks: Iterator[NDArray[np.int16]],
    *,
    n_recordings: int,
    say: Callable[[str], None],
    keep: Callable[[Recording], bool],
) -> list[Recording]:
    """Record `n_recordings` new files ``WORD-NNN.wav`` into `folder`.

    Parameters
    ----------
    say : callable
        Called with each line for the user.
    keep : callable
        Returns whether to keep a good recording.

    Raises
    ------
    AudioError
        If five recordings in a row fail the checks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept: list[Recording] = []
    tries = 0
    while len(kept) < n_recordings:
        say(f"{len(kept) + 1} of {n_recordings}: say {word!r}")
        path = _free(folder, word)
        try:
            samples = one_utterance(blocks)
            recording = checked(word, path, samples)
            problem = problem_with(samples)
        except AudioError as error:
            recording, problem = None, str(error).removeprefix(f"{path}: ")
        if recording is None or problem:
            tries += 1
            if tries >= TRIES:
                raise AudioError(f"{word!r}: {tries} recordings in a row failed: {problem}")
            say(f"  try again: {problem}")
            continue
        tries = 0
        say(f"  recorded {len(samples) / SAMPLE_RATE:.1f} s at {_level_db(samples):.0f} dB")
        if keep(recording):
            with atomic_path(path) as target:
                soundfile.write(target, samples, SAMPLE_RATE)
            kept.append(recording)
    return kept


def problem_with(samples: NDArray[np.int16]) -> str:
    """Return what is wrong and what the user should do, or an empty text."""
    if is_clipped(samples):
        return "too loud and distorted; speak more softly or turn the microphone down"
    if not stands_out(samples):
        return "too quiet against the background; come closer or speak up"
    if len(samples) >= LONGEST_BLOCKS * BLOCK:
        return "no pause after the word; is there music or a fan in the background?"
    return ""


def _free(folder: Path, word: str) -> Path:
    """Return the next free file name."""
    numbers = (int(path.stem.rsplit("-", 1)[-1]) for path in folder.glob(f"{word}-[0-9]*.wav"))
    return folder / f"{word}-{max(numbers, default=0) + 1:03d}.wav"


def _level_db(samples: NDArray[np.int16]) -> float:
    """Return the RMS in dB of full scale."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-2) / 32_768**2))
