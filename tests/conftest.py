"""Fixtures that several test files share, and which of the tests may run side by side."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Made models are too small to gain by more threads, and files of tests run side by side. Before
# numpy and TensorFlow are imported, here and in the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest
import soundfile
from hypothesis import settings
from support.fake_time import Clock
from support.skips import NO_DATA, without_data

from kws import models
from kws.audio.files import read_file
from kws.config import DecisionConfig, FrontendConfig
from kws.features.streaming import log_mel
from kws.manifest import ModelManifest, WindowForm
from kws.spotter import KeywordSpotter

# The same examples on every machine and in every run, and nothing written to disk.
settings.register_profile("kws", deadline=None, derandomize=True, database=None)
settings.load_profile("kws")

LIVE = Path(__file__).parent / "live"
RATE = 16_000
SPOKEN_WORDS = ("yes", "no", "up", "stop", "left", "go")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what waits and what is slow, where pytest-xdist is at work; alone, change nothing.

    Then short files come last, and no process is idle for long at the end.
    """
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (LIVE not in item.path.parents, item.path not in slow))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files that are slow as a whole when no slow test is asked for.

    Most of them import TensorFlow, which takes each process ten seconds.
    """
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = \[?\s*pytest\.mark\.slow\b", text, re.M) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process, and all live ones in one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from support.side_by_side import FilesAndLive

    return FilesAndLive(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests of real speech did not run, at the end where nobody overlooks it."""
    skipped = terminalreporter.stats.get("skipped", [])
    n_skipped = sum(NO_DATA in str(report.longrepr) for report in skipped)
    if n_skipped:
        terminalreporter.write_line(
            f"{n_skipped} tests of real speech did not run: KWS_DATA must name the data "
            "(CONTRIBUTING.md); KWS_REQUIRE_DATA=1 makes them fail instead",
            yellow=True,
            bold=True,
        )


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20_260_501)


@pytest.fixture
def clock() -> Clock:
    """Time that stands still until the test moves it on."""
    return Clock()


@pytest.fixture(scope="session")
def default_manifest() -> ModelManifest:
    """The model that ships."""
    return models.load("default")


@pytest.fixture(scope="session")
def demo_audio() -> np.ndarray:
    """Up to 12 s of spoken words, int16 at 16 kHz: the demo recording, or synthetic speech."""
    recording = models.FIRMWARE_MODELS / "demo.wav"
    if recording.is_file():
        return np.concatenate(list(read_file(recording)))[: 12 * RATE]
    gap = np.zeros(RATE // 2, dtype=np.int16)
    pieces = [gap]
    for word in SPOKEN_WORDS:
        pieces += [_synthesise(word), gap]
    audio = np.concatenate(pieces)
    hiss = np.random.default_rng(7).normal(0, 30, len(audio))
    return np.clip(np.round(audio + hiss), -32_768, 32_767).astype(np.int16)


def _synthesise(word: str) -> np.ndarray:
    """Return a word from a speech synthesiser, at 16 kHz; skip the test where there is none."""
    if shutil.which("espeak-ng"):
        command = ["espeak-ng", "--stdout", word]
    elif shutil.which("flite"):
        command = ["flite", "-t", word, "-o", "/dev/stdout"]
    else:
        pytest.skip("neither firmware_models/demo.wav nor espeak-ng nor flite to make speech with")
    spoken = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    # A WAV made for a pipe: 44 bytes of header, whose lengths say nothing.
    rate = int.from_bytes(spoken[24:28], "little")
    samples = np.frombuffer(spoken[44 : len(spoken) // 2 * 2], dtype="<i2").astype(np.float64)
    times = np.arange(0, len(samples), rate / RATE)
    return np.interp(times, np.arange(len(samples)), samples).astype(np.int16)


@pytest.fixture(scope="session")
def eight_frame_model(
    default_manifest: ModelManifest,
    demo_audio: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The manifest of the model that ships with a stream form of 80 ms, as its strides allow."""
    pytest.importorskip("ai_edge_litert.schema_py_generated", reason="rewrites a .tflite file")
    from training.tflite.stream_export import add_streaming_model

    frames = log_mel(demo_audio[: 3 * RATE], default_manifest.frontend)
    out = tmp_path_factory.mktemp("eight")
    return add_streaming_model(default_manifest, frames, hop_frames=8, out=out)[0].path


@pytest.fixture(scope="session")
def kws_data() -> Path:
    """The folder of the speech data; skips where KWS_DATA does not name one."""
    folder = os.environ.get("KWS_DATA", "")
    if not folder or not (Path(folder) / "speech_commands").is_dir():
        without_data("KWS_DATA does not name a folder with speech_commands/ in it")
    return Path(folder)


class LoudModel:
    """A model that says "yes" while it hears a low tone and "no" while it hears a high one.

    It stands in where a test needs to know what the posterior will be.
    """

    labels = ("yes", "no", "_unknown_")
    mode = "window"
    window_frames = 98

    def __init__(self, hop_frames: int = 10) -> None:
        self.hop_frames = hop_frames
        self.reset()

    def reset(self) -> None:
        self._frames = np.zeros((0, 40), dtype=np.float32)

    def time_invoke(self, around: object) -> None:
        """Do nothing: there is no interpreter."""

    def push(self, frames: np.ndarray) -> np.ndarray:
        self._frames = np.concatenate((self._frames, frames))
        posteriors = []
        while len(self._frames) >= self.window_frames:
            posteriors.append(self.predict(self._frames[: self.window_frames]))
            self._frames = self._frames[self.hop_frames :]
        return np.array(posteriors, dtype=np.float32).reshape(-1, len(self.labels))

    def predict(self, window: np.ndarray) -> np.ndarray:
        newest = window[-self.hop_frames :]
        low, high = newest[:, :20].max(axis=1).mean(), newest[:, 20:].max(axis=1).mean()
        if max(low, high) < 0:
            return np.array([0, 0, 1], dtype=np.float32)
        return np.array([low > high, low <= high, 0], dtype=np.float32)


@pytest.fixture(scope="session")
def loud_spotter() -> Callable[..., KeywordSpotter]:
    """Make a spotter round `LoudModel` with a decision of the test's own."""

    def make(
        *, thresholds: Mapping[str, float] | None = None, hop_frames: int = 10, **decision: int
    ) -> KeywordSpotter:
        manifest = ModelManifest(
            name="loud",
            version="1",
            labels=LoudModel.labels,
            frontend=FrontendConfig(),
            window=WindowForm("loud.tflite", "0" * 64, 16_000, 98),
            decision=DecisionConfig(**decision),
        )
        model = LoudModel(hop_frames)
        return KeywordSpotter(manifest, model, thresholds=thresholds or {"yes": 0.8, "no": 0.8})

    return make


@pytest.fixture(scope="session")
def bursts() -> Callable[..., np.ndarray]:
    """Make audio of silence with a 500 Hz tone in given (start, end) spans, in seconds."""

    def make(spans: Sequence[tuple[float, float]], *, length_s: float, hz: float = 500):
        audio = np.zeros(round(length_s * RATE))
        for start, end in spans:
            times = np.arange(round(start * RATE), round(end * RATE))
            audio[times] = 8_000 * np.sin(2 * np.pi * hz * times / RATE)
        return audio.astype(np.int16)

    return make


@pytest.fixture(scope="session")
def write_tree() -> Callable[..., Path]:
    """Give the writer behind `word_tree`, for fixtures that outlive a test."""
    return write_word_tree


@pytest.fixture
def word_tree(tmp_path: Path) -> Callable[..., Path]:
    """Make a one-folder-a-word tree of tones: (split -> count) for each word, with list files."""

    def make(
        words: Mapping[str, Mapping[str, int]], *, noise_s: float = 0, name: str = "clips"
    ) -> Path:
        return write_word_tree(tmp_path / name, words, noise_s=noise_s)

    return make


def write_word_tree(
    root: Path, words: Mapping[str, Mapping[str, int]], *, noise_s: float = 0
) -> Path:
    """Write the tree of `word_tree` to `root`: each word has its own two tones."""
    rng = np.random.default_rng(11)
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    times = np.arange(RATE) / RATE
    envelope = np.exp(-(((times - 0.5) / 0.15) ** 2))
    for index, (word, counts) in enumerate(words.items()):
        (root / word).mkdir(parents=True)
        for split, count in counts.items():
            for number in range(count):
                low = (300 + 250 * index) * rng.uniform(0.97, 1.03)
                tones = np.sin(2 * np.pi * low * times) + np.sin(5.3 * np.pi * low * times)
                samples = 6_000 * envelope * tones + rng.normal(0, 20, RATE)
                file = f"{split[:2]}{index:02}{number:04}_nohash_0.wav"
                soundfile.write(str(root / word / file), samples.astype(np.int16), RATE)
                if split in lists:
                    lists[split].append(f"{word}/{file}")
    for split, files in lists.items():
        (root / f"{split}_list.txt").write_text("".join(f"{file}\n" for file in files))
    if noise_s:
        (root / "_background_noise_").mkdir()
        noise = rng.normal(0, 1_000, round(noise_s * RATE)).astype(np.int16)
        soundfile.write(str(root / "_background_noise_" / "hiss.wav"), noise, RATE)
    return root
