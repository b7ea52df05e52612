"""Audio files and pipes that lie: what the fuzzers found, each with the line it ends in now."""

from __future__ import annotations

import io
import os
import struct
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kws.audio.files import read_file, read_pcm, to_int16
from kws.errors import AudioError, ConfigError


def wav(samples: np.ndarray, *, subtype: str = "PCM_16") -> bytearray:
    handle = io.BytesIO()
    soundfile.write(handle, samples, 16_000, format="WAV", subtype=subtype)
    return bytearray(handle.getvalue())


def read(path: Path | str, content: bytes | None = None) -> np.ndarray:
    if content is not None:
        Path(path).write_bytes(content)
    return np.concatenate(list(read_file(path)))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_nan_samples_are_refused(tmp_path, subtype):
    """
    The error names the file: the integer value of NaN depends on the processor.
    """
    content = wav(np.array([0.5, np.nan, 0.5]), subtype=subtype)

    with pytest.raises(AudioError, match=r"a\.wav: cannot be decoded: .* NaN samples"):
        read(tmp_path / "a.wav", content)


def test_the_largest_floats_are_clipped_without_a_warning():
    """
    Infinity, and values that become infinite, are full scale.
    """
    block = np.array([[3e38], [-3e38], [np.inf], [-np.inf], [0.5]], dtype=np.float32)

    assert to_int16(block)[:, 0].tolist() == [32_767, -32_768, 32_767, -32_768, 16_384]


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1, 4_000_000_000])
def test_impossible_sample_rates_are_refused(tmp_path, rate):
    """
    From 1 Hz to 4 GHz: the error names the file.
    """
    content = wav(np.zeros(100))
    content[24:28] = struct.pack("<I", rate)

    with pytest.raises(AudioError, match=r"a\.wav: .*expected"):
        read(tmp_path / "a.wav", content)


def test_many_channels_take_little_memory(tmp_path):
    """
    A second of 1024 channels is 64 MB of floats: it is read in chunks of 2 MB.
    """
    samples = np.zeros((16_000, 1_024), dtype=np.int16)
    samples[:, 0] = 10_240
    path = tmp_path / "a.wav"
    path.write_bytes(wav(samples))
    tracemalloc.start()
    try:
        n_read = sum(int((piece == 10).sum()) for piece in read_file(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert n_read == 16_000
    assert peak < 12_000_000


def test_a_header_of_68_thousand_million_frames_takes_little_memory(tmp_path):
    """
    FLAC has 36 bits for its length: no memory is reserved for it.
    """
    handle = io.BytesIO()
    soundfile.write(handle, np.zeros(20_000), 16_000, format="FLAC")
    content = bytearray(handle.getvalue())
    fields = int.from_bytes(content[18:26], "big") | (2**36 - 1)
    content[18:26] = fields.to_bytes(8, "big")
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(AudioError, match=r"a\.flac: cannot be decoded"):
            list(read_file(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 12_000_000


def test_a_file_name_need_not_be_utf_8(tmp_path):
    """
    A file name is bytes.
    """
    path = tmp_path / os.fsdecode(b"\xff.wav")

    assert read(path, wav(np.full(10, 0.5))).tolist() == [16_384] * 10


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 300, "File name too long"), ("a\0b", "nothing there"), ("\ud800", "nothing there")],
)
def test_impossible_file_names_are_an_error(name, message):
    """
    Names that are too long, or contain a zero or half a character, are an AudioError.
    """
    with pytest.raises(AudioError, match=f"expected an audio file, .*{message}"):
        read(name)


def test_less_than_a_sample_is_an_error(tmp_path):
    """
    One sample at 768 kHz is none at 16 kHz: an error.
    """
    content = wav(np.array([0.5]))
    content[24:28] = struct.pack("<I", 768_000)

    with pytest.raises(AudioError, match=r"a\.wav: expected audio, got no samples"):
        read(tmp_path / "a.wav", content)


@pytest.mark.parametrize("chunk_samples", [0, -1])
def test_chunks_without_length_are_refused(tmp_path, chunk_samples):
    """
    Reading would never end.
    """
    with pytest.raises(
        ConfigError, match=f"chunk_samples: expected at least 1, got {chunk_samples}"
    ):
        next(read_file(tmp_path / "a.wav", chunk_samples=chunk_samples))
    with pytest.raises(ConfigError, match="chunk_samples: expected at least 1"):
        next(read_pcm(io.BytesIO(b"ab"), chunk_samples=chunk_samples))


def test_a_non_blocking_pipe_is_waited_for():
    """
    Another program that shares the pipe may have made it so: a pause is not its end.
    """
    out, into = os.pipe()
    os.set_blocking(out, False)
    os.write(into, b"\x01\x00" * 10)
    with open(out, "rb") as stream:
        pieces = read_pcm(stream)
        first = next(pieces)
        assert os.get_blocking(out)
        writer = threading.Thread(target=lambda: (os.write(into, b"\x02\x00"), os.close(into)))
        writer.start()
        rest = list(pieces)
        writer.join()

    assert first.tolist() == [1] * 10
    assert [piece.tolist() for piece in rest] == [[2]]


def test_a_pipe_that_cannot_be_read_is_an_error(tmp_path):
    """
    One line with the system's reason.
    """

    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(AudioError, match="stdin: cannot be read: Input/output error"):
        list(read_pcm(Broken()))
