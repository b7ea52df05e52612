"""Any audio file as 16 kHz mono int16, a piece at a time; raw PCM from a pipe likewise."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, MissingDependencyError
from kws.resample import Resampler

logger = logging.getLogger(__name__)
CHUNK_SAMPLES = 16_000
# Writers that cannot seek leave such a length in the header: it says nothing.
UNKNOWN_LENGTH = 0x7FFF_0000


def read_file(
    path: str | Path, *, sample_rate: int = 16_000, chunk_samples: int = CHUNK_SAMPLES
) -> Iterator[NDArray[np.int16]]:
    """Yield an audio file as mono int16 ``(n,)`` at `sample_rate`.

    WAV, FLAC, OGG, Opus and MP3 of any rate and channel count; channels are averaged and the
    rate converted, which is logged once.

    Raises
    ------
    AudioError
        If there is no such file, it is no audio, or it ends before its header says.
    """
    path = Path(path)
    with open_sound(path) as sound:
        resampler = _converter(path, sound.samplerate, sound.channels, sample_rate)
        while True:
            try:
                block = to_int16(sound.read(chunk_samples, dtype="float32", always_2d=True))
            except RuntimeError as error:
                raise AudioError(f"{path}: cannot be decoded: {error}") from error
            mono = to_mono(block)
            last = len(block) < chunk_samples
            if resampler is not None:
                mono = resampler.push(mono, last=last)
            if len(mono):
                yield mono
            if last:
                return


def read_pcm(stream: BinaryIO, *, chunk_samples: int = 1_600) -> Iterator[NDArray[np.int16]]:
    """Yield raw signed 16-bit little-endian mono PCM from a pipe as int16 ``(n,)``.

    Pieces come as soon as the pipe has them, never longer than `chunk_samples`.

    Raises
    ------
    AudioError
        If the pipe brings a WAV or another file with a header, or not a single sample.
    """
    read = getattr(stream, "read1", stream.read)
    data = read(2 * chunk_samples)
    # A pipe may bring even the mark of a file type in pieces.
    while 0 < len(data) < 4 and (more := read(4 - len(data))):
        data += more
    if not data:
        raise AudioError("stdin: expected raw 16 kHz s16le PCM, got nothing")
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
        if whole:
            yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False)
        data = read(2 * chunk_samples)
    if rest:
        logger.warning("stdin: ended in the middle of a sample; its odd byte was left out")


def to_int16(block: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples of -1..1 as int16, rounded and clipped; exact for what was int16 before.

    Asked for integers, libsndfile would not scale files of floats: they would come as zeros.
    """
    scaled = np.round(block * np.float32(32_768))
    return np.asarray(np.clip(scaled, -32_768, 32_767), dtype=np.int16)


def to_mono(block: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the mean of the channels of ``(n_samples, n_channels)``."""
    if block.shape[1] == 1:
        return np.ascontiguousarray(block[:, 0])
    return np.asarray(np.round(block.mean(axis=1)), dtype=np.int16)


def open_sound(path: Path) -> Any:
    """Return an open `soundfile.SoundFile` that holds all the samples its header promises.

    Raises
    ------
    AudioError
        If there is no such file, it is no audio, holds no samples, or is cut off.
    """
    sound = _open(path)
    try:
        _refuse_truncated(path, sound)
        if sound.frames == 0:
            raise AudioError(f"{path}: expected audio, got a file with a header and no samples")
    except AudioError:
        sound.close()
        raise
    return sound


def _open(path: Path) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"reading audio files needs soundfile and libsndfile ({error}); "
            "pip install soundfile, and where there is no wheel: apt install libsndfile1"
        ) from error
    if path.is_dir():
        raise AudioError(f"{path}: expected an audio file, got a folder")
    if not path.exists():
        raise AudioError(f"{path}: expected an audio file, found nothing there")
    if path.is_file() and path.stat().st_size == 0:
        raise AudioError(f"{path}: expected an audio file, got an empty one")
    try:
        return soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise AudioError(
            f"{path}: expected WAV, FLAC, OGG, Opus or MP3, got something else ({reason})"
        ) from error


def _refuse_truncated(path: Path, sound: Any) -> None:
    """Raise if a WAV holds less than its header says, as libsndfile notes in its log."""
    note = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if note is None:
        return
    promised, there = int(note[1]), int(note[2])
    if there < promised < UNKNOWN_LENGTH:
        raise AudioError(
            f"{path}: expected {promised} bytes of audio as its header says, got {there}; "
            "the file is cut off, copy or record it again"
        )


def _converter(path: Path, rate: int, channels: int, wanted: int) -> Resampler | None:
    """Return a resampler if the rate needs one, and say what is converted."""
    if rate != wanted or channels != 1:
        logger.info(
            "%s: converting %d Hz, %d channel(s) to %d Hz mono", path, rate, channels, wanted
        )
    return Resampler(rate, wanted) if rate != wanted else None
