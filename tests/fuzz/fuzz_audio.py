"""Audio files of every kind, broken: a clear error or samples, in little memory."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import soundfile

from fuzz.checks import check_message, expect
from fuzz.mutation import mend_ogg, mutate_bytes
from kws import models
from kws.audio.files import read_file
from kws.errors import KwsError

CHUNK_SAMPLES = 4_000
# A file may well decode to hours; what counts is that they come piece by chunk.
MAX_PIECES = 40
RATE = 16_000
# The kinds that are promised, then some of those that libsndfile opens besides.
KINDS = (
    *(("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE", "ULAW")),
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")),
    *(("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")),
    *(("AU", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("W64", "PCM_16")),
    *(("VOC", "PCM_16"), ("SVX", "PCM_16"), ("XI", "DPCM_16"), ("SDS", "PCM_16")),
)


def seeds() -> list[bytes]:
    """Return a stretch of the demo recording as a file of each kind, and some of two streams."""
    demo, _ = soundfile.read(str(models.FIRMWARE_MODELS / "demo.wav"), dtype="float64")
    speech = demo[8_000:12_000]
    files = {kind: encode(speech, *kind) for kind in KINDS if kind[0] in _formats()}
    stereo = np.stack((speech, -speech), axis=1)
    for kind in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", KINDS[16][1])):
        other = encode(stereo, *kind, rate=44_100)
        # Concatenated streams of another rate and channel count: legal in Ogg, common in MP3.
        files[kind[0], "stereo"] = other
        files[kind[0], "chained"] = files[kind] + other
    return list(files.values())


def _formats() -> set[str]:
    return set(soundfile.available_formats())


def encode(samples: np.ndarray, kind: str, subtype: str, *, rate: int = RATE) -> bytes:
    """Return samples as the bytes of an audio file."""
    handle = io.BytesIO()
    soundfile.write(handle, samples, rate, format=kind, subtype=subtype)
    return handle.getvalue()


class Target:
    """Write the input as a file, read it as `kws-listen --input FILE` would."""

    max_bytes = 32_000

    def __init__(self, folder: Path) -> None:
        self._path = folder / "input.wav"

    def seeds(self) -> list[bytes]:
        """Return real files."""
        return seeds()

    def mutate(self, data: bytes, rng: random.Random) -> bytes:
        """Return a broken file; an Ogg one half of the time with checksums that are right."""
        changed = mutate_bytes(data, rng)
        if changed[:4] == b"OggS" and rng.random() < 0.5:
            return mend_ogg(changed)
        return changed

    def __call__(self, data: bytes) -> str:
        """Try one input; return what came of it."""
        self._path.write_bytes(data)
        n_pieces = 0
        try:
            for piece in read_file(self._path, chunk_samples=CHUNK_SAMPLES):
                expect(piece.dtype == np.int16 and piece.ndim == 1, "int16 (n,)", piece)
                # From 1 kHz up to 16 kHz, and what a resampler holds back at first.
                expect(0 < len(piece) <= 20 * CHUNK_SAMPLES, "a piece of bounded length", piece)
                n_pieces += 1
                if n_pieces == MAX_PIECES:
                    return "long"
        except KwsError as error:
            check_message(error, where=str(self._path))
            return type(error).__name__
        expect(n_pieces > 0, "samples or an error", n_pieces)
        return "samples"
