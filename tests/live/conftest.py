"""Real sound servers of our own with virtual microphones, and words to play to them."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from support.pulse_server import PACKAGES, PulseServer, missing_parts
from support.skips import without_audio_server

from kws import models
from kws.audio.files import read_file
from kws.spotter import KeywordSpotter

DEMO = models.FIRMWARE_MODELS / "demo.wav"


@pytest.fixture(scope="session")
def virtual_microphone() -> Iterator[PulseServer]:
    """A server for the whole session: leave it as it is."""
    with _server() as server:
        server.start()
        yield server


@pytest.fixture
def server() -> Iterator[PulseServer]:
    """A server for one test, which may do to it what it wants; not started yet."""
    with _server() as server:
        yield server


@pytest.fixture(scope="session")
def demo() -> Path:
    """Ten words, in 21 s."""
    return DEMO


@pytest.fixture(scope="session")
def word_clips(tmp_path_factory) -> dict[str, Path]:
    """The ten words of the demo, in order, in a file of 1.5 s each."""
    rate = 16_000
    folder = tmp_path_factory.mktemp("words")
    spotter = KeywordSpotter.from_model("default")
    clips = {}
    samples, _ = soundfile.read(DEMO, dtype="int16")
    for detection in [found for block in read_file(DEMO) for found in spotter.process(block)]:
        start, end = detection.time_s - 1.3, detection.time_s + 0.2
        clip = samples[round(start * rate) : round(end * rate)]
        clips[detection.keyword] = folder / f"{detection.keyword}.wav"
        soundfile.write(clips[detection.keyword], clip, rate)
    return clips


@pytest.fixture(scope="session")
def four_words(tmp_path_factory) -> Path:
    """The first 8 s of the demo: yes, no, up, down."""
    path = tmp_path_factory.mktemp("start") / "start.wav"
    samples, rate = soundfile.read(DEMO, frames=8 * 16_000, dtype="int16")
    soundfile.write(path, samples, rate)
    return path


@contextmanager
def _server() -> Iterator[PulseServer]:
    missing = missing_parts()
    if missing:
        without_audio_server(f"no {', no '.join(missing)}: apt install {PACKAGES}")
    with _short_folder() as folder, _interrupts_allowed():
        server = PulseServer(folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _short_folder() -> Iterator[Path]:
    """Make a folder: pytest's own have longer paths than a socket may have."""
    with tempfile.TemporaryDirectory(prefix="kws") as name:
        yield Path(name)


@contextmanager
def _interrupts_allowed() -> Iterator[None]:
    """Let child processes take SIGINT even where a shell started us with it ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
