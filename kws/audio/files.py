"""Read audio files, and raw PCM from a pipe, as 16 kHz mono int16 in chunks."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kws.audio.resample import Resampler
from kws.dataclass_io import check_range
from kws.errors import AudioError, MissingDependencyError

logger = logging.getLogger(__name__)
CHUNK_SAMPLES = 16_000
# Writers that cannot seek leave a length like this in the header; it means nothing.
UNKNOWN_LENGTH = 0x7FFF_0000
# Read at once, over all channels: a header may claim a thousand of them, and reading allocates
# memory for all that is requested.
MAX_VALUES = 512_000
# While a pipe is silent, the caller gets control this often.
POLL_S = 0.1


def read_file(
    path: str | Path, *, sample_rate: int = 16_000, chunk_samples: int = CHUNK_SAMPLES
) -> Iterator[NDArray[np.int16]]:
    """Yield an audio file as mono int16 ``(n,)`` at `sample_rate`.

    Reads WAV, FLAC, OGG, Opus and MP3 of any rate and channel count. Channels are averaged and
    the rate converted, which is logged once.

    Raises
    ------
    AudioError
        If the file is missing, is not audio, cannot be decoded, holds no samples, or is a WAV
        that is shorter than its header says.
    """
    path = Path(path)
    check_range("chunk_samples", chunk_samples, 1)
    with open_sound(path) as sound:
        resampler = _converter(path, sound.samplerate, sound.channels, sample_rate)
        wanted = min(chunk_samples, max(1, MAX_VALUES // sound.channels))
        last, empty = False, True
        while not last:
            try:
                block = to_int16(sound.read(wanted, dtype="float32", always_2d=True))
            except (RuntimeError, AudioError) as error:
                raise AudioError(f"{path}: cannot be decoded: {error}") from error
            last = len(block) < wanted
            mono = to_mono(block)
            if resampler is not None:
                mono = resampler.push(mono, last=last)
            if len(mono):
                empty = False
                yield mono
    if empty:
        raise AudioError(f"{path}: expected audio, got no samples at {sample_rate} Hz")


def read_pcm(
    stream: BinaryIO,
    *,
    chunk_samples: int = 1_600,
    poll: Callable[[], object] | None = None,
) -> Iterator[NDArray[np.int16]]:
    """Yield raw signed 16-bit little-endian mono PCM from a pipe as int16 ``(n,)``.

    Chunks come as soon as the pipe has them, never longer than `chunk_samples`. While the pipe is
    silent, `poll` is called ten times a second (only for streams with a file descriptor, and not
    read from before); an exception that it raises ends the reading.

    Raises
    ------
    AudioError
        If the pipe delivers a file with a header, such as a WAV, no sample at all, or cannot be
        read.
    """
    check_range("chunk_samples", chunk_samples, 1)
    read = _blocking_reader(stream, poll)
    n_bytes = 2 * min(chunk_samples, MAX_VALUES)
    data = read(n_bytes)
    # A pipe may deliver even the first four bytes one by one.
    while 0 < len(data) < 4 and (more := read(4 - len(data))):
        data += more
    if len(data) < 2:
        got = "a single byte" if data else "nothing"
        raise AudioError(f"stdin: expected raw 16 kHz s16le PCM, got {got}")
    if data[:4] in (b"RIFF", b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04"):
        raise AudioError(
            "stdin: expected raw 16 kHz s16le PCM, got an audio file; give its path to "
            "--input, or convert it (ffmpeg -i FILE -f s16le -ar 16000 -ac 1 -)"
        )
    rest = b""
    while data:
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False)
        for start in range(0, len(samples), chunk_samples):
            yield samples[start : start + chunk_samples]
        data = read(n_bytes)
    if rest:
        logger.warning("stdin: ended in the middle of a sample; its odd byte was ignored")


def to_int16(block: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples of -1..1 as int16, rounded and clipped; exact for samples stored as int16.

    libsndfile's own conversion to integers does not scale files of floats: they become zeros.

    Raises
    ------
    AudioError
        If a sample is NaN, as a file of floats may have it: its integer value would depend on the
        processor.
    """
    # The largest floats become infinite here, and are clipped like the rest.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.round(block * np.float32(32_768))
    if np.isnan(scaled).any():
        raise AudioError("expected numbers, got NaN samples")
    return np.asarray(np.clip(scaled, -32_768, 32_767), dtype=np.int16)


def to_mono(block: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the mean of the channels of ``(n_samples, n_channels)``."""
    if block.shape[1] == 1:
        return np.ascontiguousarray(block[:, 0])
    return np.asarray(np.round(block.mean(axis=1)), dtype=np.int16)


def open_sound(path: Path) -> Any:
    """Return an open `soundfile.SoundFile` that holds all the samples its header claims.

    Raises
    ------
    AudioError
        If the file is missing, is not audio, holds no samples, or is cut off.
    """
    sound = _open(path)
    try:
        _refuse_truncated(path, sound)
        if sound.frames == 0:
            raise AudioError(f"{path}: expected audio, got a header without samples")
    except AudioError:
        sound.close()
        raise
    return sound


def _blocking_reader(
    stream: BinaryIO, poll: Callable[[], object] | None = None
) -> Callable[[int], bytes]:
    """Return a function that waits for bytes and returns those available."""
    read = getattr(stream, "read1", stream.read)
    # If a program that shares the pipe has made it non-blocking, a pause would look like the end.
    # A stream without a file descriptor cannot block.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.set_blocking(stream.fileno(), True)

    def wait_and_read(n_bytes: int) -> bytes:
        if poll is not None:
            _wait(stream, poll)
        try:
            return bytes(read(n_bytes))
        except OSError as error:
            raise AudioError(f"stdin: cannot be read: {error.strerror or error}") from error

    return wait_and_read


def _wait(stream: BinaryIO, poll: Callable[[], object]) -> None:
    """Return when there is something to read; at once for a stream without a file descriptor."""
    try:
        poller = select.poll()
        poller.register(stream.fileno(), select.POLLIN)
    except (AttributeError, OSError, ValueError):
        return
    while not poller.poll(1_000 * POLL_S):
        poll()


def _open(path: Path) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"reading audio files needs soundfile and libsndfile ({error}); "
            "pip install soundfile, and where there is no wheel: apt install libsndfile1"
        ) from error
    _refuse_no_file(path)
    try:
        # As bytes, because a file name need not be valid UTF-8.
        return soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise AudioError(
            f"{path}: expected WAV, FLAC, OGG, Opus or MP3, got something else ({reason})"
        ) from error


def _refuse_no_file(path: Path) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a name that no file can have.
        raise AudioError(f"{path}: expected an audio file, found nothing there") from None
    except OSError as error:
        raise AudioError(f"{path}: expected an audio file, {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{path}: expected an audio file, got a folder")
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise AudioError(f"{path}: expected an audio file, got an empty one")


def _refuse_truncated(path: Path, sound: Any) -> None:
    """Raise if a WAV is shorter than its header says, which libsndfile notes in its log."""
    note = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if note is None:
        return
    claimed, actual = int(note[1]), int(note[2])
    if actual < claimed < UNKNOWN_LENGTH:
        raise AudioError(
            f"{path}: expected {claimed} bytes of audio as its header says, got {actual}; "
            "the file is cut off, copy or record it again"
        )


def _converter(path: Path, rate: int, channels: int, wanted: int) -> Resampler | None:
    """Return a resampler if the rate needs one, and log the conversion."""
    if rate != wanted or channels != 1:
        logger.info(
            "%s: converting %d Hz, %d channel(s) to %d Hz mono", path, rate, channels, wanted
        )
    try:
        return Resampler(rate, wanted) if rate != wanted else None
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error
