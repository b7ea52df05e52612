"""The audio that all peers get, as one stretch of raw PCM."""

from __future__ import annotations

import wave
from pathlib import Path

SAMPLE_RATE = 16_000
BYTES_PER_S = 2 * SAMPLE_RATE


class AudioError(Exception):
    """The file is not what all peers take; the message says what is, in one line."""


def looped(path: Path, seconds: float) -> bytes:
    """Return this many seconds of a WAV, from its beginning, repeated as often as it takes."""
    try:
        with wave.open(str(path), "rb") as sound:
            got = (sound.getframerate(), sound.getnchannels(), 8 * sound.getsampwidth())
            pcm = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise AudioError(f"{path}: expected a WAV file: {error}") from error
    if got != (SAMPLE_RATE, 1, 16):
        raise AudioError(
            f"{path}: expected 16000 Hz, 1 channel, 16 bit, got {got[0]} Hz, {got[1]} channel(s), "
            f"{got[2]} bit; convert it first (ffmpeg -i {path} -ar 16000 -ac 1 out.wav)"
        )
    if not pcm:
        raise AudioError(f"{path}: expected audio, got a file without samples")
    n_bytes = int(seconds * SAMPLE_RATE) * 2
    return (pcm * (n_bytes // len(pcm) + 1))[:n_bytes]
