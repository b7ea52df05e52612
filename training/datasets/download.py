"""Download data and networks with pooch: checked by SHA-256, unpacked safely, whole or absent."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zlib
from pathlib import Path

import pooch

from kws.errors import KwsError

# The archives of the data set's author, and their SHA-256 as torchaudio publishes them.
SPEECH_COMMANDS = {
    "0.01": (
        "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    ),
    "0.02": (
        "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    ),
}

# TensorFlow Hub's google/lite-model/yamnet/classification/tflite/1: address and SHA-256 are those
# of MediaPipe's build files; the download itself is untested.
YAMNET = (
    "https://storage.googleapis.com/mediapipe-assets/yamnet_audio_classifier_with_metadata.tflite"
    "?generation=1661875980774466",
    "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
)

# OpenAI's repository at Hugging Face, a revision of 2024. The SHA-256 is that of its large-file
# pointer; the download itself is untested.
WHISPER = (
    "https://huggingface.co/openai/whisper-tiny.en/resolve/"
    "87c7102498dcde7456f24cfd30239ca606ed9063/model.safetensors",
    "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
)


class FetchError(KwsError, OSError):
    """A download failed, or is not the expected file."""


def fetch_yamnet(out: Path, *, url: str | None = None, sha256: str | None = None) -> Path:
    """Download YAMNet's .tflite file as ``out/yamnet.tflite``, and return that path.

    A file that exists is not downloaded again. `sha256` and `url` are for mirrors.

    Raises
    ------
    FetchError
        If the download fails, or its SHA-256 is wrong.
    """
    return _retrieve(url or YAMNET[0], out, "yamnet.tflite", sha256 or YAMNET[1])


def fetch_whisper(out: Path, *, url: str | None = None, sha256: str | None = None) -> Path:
    """Download Whisper tiny.en, 151 MB, as ``out/whisper-tiny.en.safetensors``; see `fetch_yamnet`.

    Raises
    ------
    FetchError
        If the download fails, or its SHA-256 is wrong.
    """
    name = "whisper-tiny.en.safetensors"
    return _retrieve(url or WHISPER[0], out, name, sha256 or WHISPER[1])


def fetch_speech_commands(
    out: Path, *, version: str = "0.02", url: str | None = None, sha256: str | None = None
) -> Path:
    """Download and unpack Speech Commands into ``out/speech_commands``, and return that folder.

    Nothing is done if the folder exists. `sha256` and `url` are for mirrors.

    Raises
    ------
    FetchError
        If the download fails, its SHA-256 is wrong, or the archive has paths outside its folder.
    """
    root = out / "speech_commands"
    if root.is_dir():
        return root
    known_url, known_sha256 = SPEECH_COMMANDS[version]
    name = f"speech_commands_v{version}.tar.gz"
    archive = _retrieve(url or known_url, out, name, sha256 or known_sha256)
    staging = out / f".speech_commands.{os.getpid()}"
    try:
        with tarfile.open(archive) as tar:
            if not hasattr(tarfile, "data_filter"):
                raise FetchError("unpacking safely needs Python 3.10.12, 3.11.4 or newer")
            # The data filter refuses absolute paths, links and paths outside the folder (PEP 706).
            tar.extractall(staging, filter="data")
        staging.rename(root)
    except FetchError:
        raise
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise FetchError(f"{archive}: cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return root


def _retrieve(url: str, out: Path, name: str, sha256: str) -> Path:
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                path=out,
                fname=name,
                progressbar=sys.stderr.isatty(),
            )
        )
    except (OSError, ValueError) as error:
        raise FetchError(f"{url}: {error}") from error
