"""Any audio file, or a pipe, as 16 kHz mono int16."""

from __future__ import annotations

import io
import logging
import struct

import numpy as np
import pytest
import soundfile

from kws.audio.files import read_file, read_pcm, to_mono
from kws.errors import AudioError


def tone(rate: int, seconds: float = 1.0, hz: float = 440) -> np.ndarray:
    """A tone at about a third of full scale, as float."""
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def read(path, **settings) -> np.ndarray:
    return np.concatenate(list(read_file(path, **settings)))


def wav_bytes(samples: np.ndarray, rate: int = 16_000) -> bytes:
    handle = io.BytesIO()
    soundfile.write(handle, samples, rate, format="WAV", subtype="PCM_16")
    return handle.getvalue()


def test_a_16_khz_mono_wav_is_unchanged(tmp_path, rng):
    """
    Every sample is equal, extremes included.
    """
    samples = rng.integers(-32_768, 32_767, 40_000, endpoint=True).astype(np.int16)
    samples[:2] = -32_768, 32_767
    path = tmp_path / "a.wav"
    soundfile.write(str(path), samples, 16_000)

    got = read(path)

    assert got.dtype == np.int16
    np.testing.assert_array_equal(got, samples)


@pytest.mark.parametrize("chunk_samples", [1, 160, 999, 8_000, 16_000, 100_000])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_chunk_length_does_not_matter(tmp_path, rng, chunk_samples, rate):
    """
    Chunks of any length join to the same samples, also when the file ends with one.
    """
    n_samples = 16_000 if chunk_samples > 1 else 2_000
    path = tmp_path / "a.wav"
    soundfile.write(str(path), rng.integers(-9_000, 9_000, (n_samples, 2)).astype(np.int16), rate)

    expected = read(path, chunk_samples=5_000)

    np.testing.assert_array_equal(read(path, chunk_samples=chunk_samples), expected)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_16", 1),
        ("wav", "PCM_24", 1),
        ("wav", "PCM_32", 1),
        ("wav", "PCM_U8", 260),
        ("wav", "FLOAT", 1),
        ("wav", "DOUBLE", 1),
        ("wav", "ULAW", 500),
        ("flac", "PCM_16", 1),
        ("flac", "PCM_24", 1),
        ("ogg", "VORBIS", 1_500),
        ("mp3", "MPEG_LAYER_III", 1_500),
    ],
)
def test_every_format_has_the_same_level(tmp_path, suffix, subtype, tolerance):
    """
    WAV of each kind (also floats), FLAC, OGG and MP3 give the tone that was written.
    """
    path = tmp_path / f"a.{suffix}"
    soundfile.write(str(path), tone(16_000), 16_000, subtype=subtype)
    expected = 32_768 * tone(16_000)
    got = read(path)

    assert len(got) == pytest.approx(16_000, abs=1_200)
    np.testing.assert_allclose(got[4_000:12_000], expected[4_000:12_000], atol=tolerance)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_every_rate_and_channel_count_is_converted(tmp_path, rate, n_channels):
    """
    Any rate becomes 16 kHz with the same pitch and level; channels are averaged.
    """
    path = tmp_path / "a.wav"
    soundfile.write(str(path), np.repeat(tone(rate)[:, None], n_channels, axis=1), rate)

    expected = 32_768 * tone(16_000)
    got = read(path)

    assert len(got) == pytest.approx(16_000, abs=1)
    np.testing.assert_allclose(got[2_000:14_000], expected[2_000:14_000], atol=12)


def test_channels_are_averaged_and_rounded():
    """
    Two channels give their mean, to the nearest value, without overflow.
    """
    block = np.array([[100, 101], [-100, -102], [32_767, 32_767], [-32_768, -32_768]], np.int16)
    block[0] = 100, 103

    assert to_mono(block).tolist() == [102, -101, 32_767, -32_768]
    assert to_mono(block).dtype == np.int16


def test_a_conversion_is_logged_once(tmp_path, caplog):
    """
    With rate and channels; without a conversion nothing is logged.
    """
    soundfile.write(str(tmp_path / "a.wav"), np.zeros((9_000, 2)), 8_000)
    soundfile.write(str(tmp_path / "b.wav"), np.zeros(9_000), 16_000)
    with caplog.at_level(logging.INFO, logger="kws"):
        read(tmp_path / "a.wav", chunk_samples=1_000)
        read(tmp_path / "b.wav")

    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a.wav'}: converting 8000 Hz, 2 channel(s) to 16000 Hz mono"
    ]


def test_floats_beyond_full_scale_are_clipped(tmp_path):
    """
    A float file may exceed 1.0: it is clipped, never wrapped.
    """
    path = tmp_path / "a.wav"
    soundfile.write(str(path), np.array([0.5, 1.5, -1.5, 1.0]), 16_000, subtype="FLOAT")

    assert read(path).tolist() == [16_384, 32_767, -32_768, 32_767]


@pytest.mark.parametrize("cut", [45, 46, 1_001, 16_000])
def test_a_truncated_wav_is_refused(tmp_path, cut):
    """
    A WAV that is shorter than its header says is an error.
    """
    path = tmp_path / "cut.wav"
    path.write_bytes(wav_bytes(tone(16_000))[:cut])

    with pytest.raises(AudioError, match=r"cut\.wav: expected 32000 bytes of audio .* got "):
        read(path)


@pytest.mark.parametrize("cut", [1, 11, 20, 40])
def test_a_wav_cut_in_its_header_is_refused(tmp_path, cut):
    """
    An incomplete header is an AudioError too.
    """
    path = tmp_path / "cut.wav"
    path.write_bytes(wav_bytes(tone(16_000))[:cut])

    with pytest.raises(AudioError, match=r"cut\.wav: "):
        read(path)


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_wav_made_for_a_pipe_is_read_to_its_end(tmp_path, length):
    """
    Writers that cannot seek leave a giant length in the header: that is no truncation.
    """
    content = bytearray(wav_bytes(tone(16_000)))
    content[4:8] = content[40:44] = struct.pack("<I", length)
    path = tmp_path / "pipe.wav"
    path.write_bytes(content)

    assert len(read(path)) == 16_000


def test_chunks_after_the_audio_are_ignored(tmp_path):
    """
    Tags after the data chunk are skipped.
    """
    content = bytearray(wav_bytes(tone(16_000)))
    content += b"LIST" + struct.pack("<I", 4) + b"INFO"
    content[4:8] = struct.pack("<I", len(content) - 8)
    path = tmp_path / "tagged.wav"
    path.write_bytes(content)

    assert len(read(path)) == 16_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an audio file, got an empty one"),
        (b"just some text\n" * 50, "expected WAV, FLAC, OGG, Opus or MP3, got something else"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "expected WAV, FLAC, OGG, Opus or MP3"),
        (b"fLaC" + b"\0" * 10, "a.wav: "),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    """
    An empty file, a text, a picture: one line that names the file.
    """
    path = tmp_path / "a.wav"
    path.write_bytes(content)

    with pytest.raises(AudioError, match=message):
        read(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    """
    With different messages.
    """
    with pytest.raises(AudioError, match="expected an audio file, got a folder"):
        read(tmp_path)
    with pytest.raises(AudioError, match=r"none\.wav: expected an audio file, found nothing there"):
        read(tmp_path / "none.wav")


class Pipe(io.RawIOBase):
    """A pipe that hands over its bytes in pieces of given sizes."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content = content
        self._sizes = sizes
        self._n_reads = 0

    def read1(self, size: int = -1) -> bytes:
        n = min(size, self._sizes[self._n_reads % len(self._sizes)])
        self._n_reads += 1
        data, self._content = self._content[:n], self._content[n:]
        return data


@pytest.mark.parametrize("sizes", [[1], [2], [3], [1, 4, 7], [3_200], [100_000]])
def test_raw_pcm_does_not_depend_on_how_the_pipe_cuts_it(rng, sizes):
    """
    Samples split between two reads are joined; no chunk is longer than requested.
    """
    samples = rng.integers(-32_768, 32_767, 5_000).astype("<i2")
    pieces = list(read_pcm(Pipe(samples.tobytes(), sizes), chunk_samples=1_600))

    assert max(len(piece) for piece in pieces) <= 1_600
    assert {piece.dtype for piece in pieces} == {np.dtype(np.int16)}
    np.testing.assert_array_equal(np.concatenate(pieces), samples)


def test_pcm_is_little_endian():
    """
    Two bytes 01 02 are 0x0201.
    """
    assert [piece.tolist() for piece in read_pcm(io.BytesIO(b"\x01\x02\xff\xff"))] == [[513, -1]]


def test_an_odd_last_byte_is_ignored_and_logged(caplog):
    """
    Half a sample at the end does not count; the rest does.
    """
    pieces = list(read_pcm(io.BytesIO(b"\x01\x00\x02\x00\x03")))

    assert np.concatenate(pieces).tolist() == [1, 2]
    assert "odd byte was ignored" in caplog.text


def test_a_pipe_without_a_sample_is_an_error():
    """
    Empty stdin is an error, not silence.
    """
    with pytest.raises(AudioError, match="stdin: expected raw 16 kHz s16le PCM, got nothing"):
        list(read_pcm(io.BytesIO(b"")))


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("sizes", [[100_000], [2], [1]])
def test_an_audio_file_on_stdin_is_refused(form, sizes):
    """
    A file with a header is not PCM: the error says how to convert it.
    """
    handle = io.BytesIO()
    soundfile.write(handle, tone(16_000), 16_000, format=form)

    with pytest.raises(AudioError, match=r"got an audio file; give its path to --input.*ffmpeg"):
        list(read_pcm(Pipe(handle.getvalue(), sizes)))
