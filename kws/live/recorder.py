"""Record the seconds around each detection as WAV files, if the user asked for it."""

from __future__ import annotations

import io
import itertools
import logging
import os
import re
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.dataclass_io import check_range
from kws.decision.policy import Detection
from kws.errors import ConfigError
from kws.live.sinks import Sink

logger = logging.getLogger(__name__)
MAX_BYTES = 100_000_000
# How much to keep around the moment of detection, at the end of the word or a little later.
BEFORE_S, AFTER_S = 1.5, 0.5
# A detection comes with its block of samples, or slightly later.
SLACK_S = 0.25
# Length of a keyword in a file name, which may have 255 bytes in all.
MAX_KEYWORD = 40


@dataclass(frozen=True)
class _Clip:
    """A span of the stream to be written, in samples since the start."""

    start: int
    end: int
    name: str


class DetectionRecorder(Sink):
    """Write the audio around each detection to a folder of its own, for tuning.

    Clips are 16-bit mono WAV, readable by their owner only, named by local date and time, stream
    time, keyword and score, as ``20261122T032501-0012.345s-yes-0.97.wav``. They are written
    completely or not at all, and replace nothing. A clip ends at a gap in the audio. Detections
    close to each other get a clip each.

    A warning at the start says that recording is on. Recording stops, with one warning, when the
    next clip would take the folder's WAV files above `max_bytes`, or when the disk fails;
    listening goes on. Memory holds at most the length of a clip and one block.

    Parameters
    ----------
    folder : str or Path
        Created if needed, for its owner only.
    sample_rate : int
        Rate of the samples, in Hz: the spotter's.
    max_bytes : int
        Limit on all WAV files in the folder, earlier recordings included.
    now : callable
        The time of day.

    Raises
    ------
    ConfigError
        If the folder cannot be created or written to, or `max_bytes` is below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        sample_rate: int,
        max_bytes: int = MAX_BYTES,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        check_range("max_bytes", max_bytes, 1)
        self.folder = Path(folder)
        self._sample_rate = sample_rate
        self._before = round(BEFORE_S * sample_rate)
        self._after = round(AFTER_S * sample_rate)
        self._slack = round(SLACK_S * sample_rate)
        self._max_bytes = max_bytes
        self._now = now
        self.recording = True
        """False once the limit was reached or the disk failed."""

        self.n_clips = 0
        """Clips written so far."""

        # The latest samples without a gap, and the position of their end in the stream.
        self._audio = np.zeros(0, dtype=np.int16)
        self._end = 0
        self._pending: list[_Clip] = []
        self._n_bytes = _open_folder(self.folder)
        logger.warning(
            "RECORDING IS ON: %g s of audio around each detection are kept in %s, up to %s "
            "(%s there already)",
            BEFORE_S + AFTER_S,
            self.folder,
            _size(max_bytes),
            _size(self._n_bytes),
        )

    def samples(self, samples: NDArray[np.int16]) -> None:
        """Take samples that follow directly on the last ones, unless `gap` was called."""
        if not self.recording or not len(samples):
            return
        needed = self._end - self._before - self._slack
        needed = min([needed, *(clip.start for clip in self._pending)])
        old = max(0, needed - self._end + len(self._audio))
        self._audio = np.concatenate((self._audio[old:], samples))
        self._end += len(samples)
        self._write_pending(until=self._end)

    def gap(self, n_samples: int) -> None:
        """Write the clips that wait for more audio with what there is; later ones begin here."""
        self._write_pending(until=None)
        self._audio = self._audio[:0]
        self._end += n_samples

    def detection(self, detection: Detection) -> None:
        """Write a clip of this detection, as soon as the audio after it has arrived."""
        if not self.recording:
            return
        moment = round(detection.time_s * self._sample_rate)
        # A label must not become a path or a hidden file.
        keyword = re.sub(r"[^\w-]+", "_", detection.keyword)[:MAX_KEYWORD]
        name = (
            f"{self._now():%Y%m%dT%H%M%S}-{detection.time_s:08.3f}s-{keyword}-{detection.score:.2f}"
        )
        self._pending.append(_Clip(moment - self._before, moment + self._after, name))
        self._write_pending(until=self._end)

    def close(self, timeout_s: float = 0.0) -> None:
        """Write all clips that still wait, with the audio there is."""
        self._write_pending(until=None)

    def _write_pending(self, *, until: int | None) -> None:
        """Write the clips that end by `until`, or all."""
        ready = [clip for clip in self._pending if until is None or clip.end <= until]
        self._pending = [clip for clip in self._pending if clip not in ready]
        start = self._end - len(self._audio)
        for clip in ready:
            samples = self._audio[max(0, clip.start - start) : max(0, clip.end - start)]
            if self.recording and len(samples):
                self._write(clip, samples)

    def _write(self, clip: _Clip, samples: NDArray[np.int16]) -> None:
        data = _wav(samples, self._sample_rate)
        if self._n_bytes + len(data) > self._max_bytes:
            self._stop(f"{self.folder} is full: its WAV files may take {_size(self._max_bytes)}")
            return
        try:
            _save(self.folder, clip.name, data)
        except (OSError, UnicodeError) as error:
            # UnicodeError: a keyword that this system cannot use in a file name.
            self._stop(f"{self.folder}: {getattr(error, 'strerror', None) or error}")
            return
        self._n_bytes += len(data)
        self.n_clips += 1

    def _stop(self, reason: str) -> None:
        self.recording = False
        self._pending = []
        self._audio = self._audio[:0]
        logger.warning("recording has stopped, listening goes on: %s", reason)


def _open_folder(folder: Path) -> int:
    """Create the folder if needed; return the bytes of the WAV files in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Permissions are not enough: only writing proves that one can write.
        with tempfile.TemporaryFile(dir=folder):
            return sum(path.lstat().st_size for path in folder.glob("*.wav"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{folder}: expected a folder to record to, or room for one: {reason}"
        ) from error


def _save(folder: Path, name: str, data: bytes) -> None:
    """Write a file for its owner, completely or not at all, and never over another one."""
    for number in itertools.count(1):
        path = folder / (f"{name}.wav" if number == 1 else f"{name}-{number}.wav")
        part = folder / f".{path.name}.part"
        # The part is a lock on the name: two programs never write the same file.
        try:
            opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            with os.fdopen(opened, "wb") as file:
                taken = os.path.lexists(path)
                file.write(b"" if taken else data)
            if not taken:
                part.rename(path)
                return
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.unlink()


def _wav(samples: NDArray[np.int16], sample_rate: int) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return made.getvalue()


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.4g} MB"
