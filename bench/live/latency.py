"""Latency from the end of a word to its callback, live and in the same audio from a file.

A recording with known word ends is played to a virtual microphone. A `Listener` and a raw recorder
with 5 ms of latency capture it. Live latency counts from the moment when the recorder gets the last
sample of a word to the first line of the callback. Latency in the file is that of `kws-eval
stream`: the position of the detection minus that of the word's end, as if computing took no time.

    PYTHONPATH=tests python bench/live/latency.py --repeat 3
    PYTHONPATH=tests python bench/live/latency.py --audio s/all-000.wav --truth s/truth.csv
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rig
import soundfile
from support.pulse_server import PulseServer

from kws import KeywordSpotter, Listener
from kws.audio.capture_config import CaptureConfig
from kws.audio.files import read_file
from kws.decision.policy import Detection
from kws.live.sinks import Sink

RATE = 16_000
LATEST_S = 1.5


class Word(NamedTuple):
    """A word in the recording."""

    keyword: str
    end_s: float


class Recorder:
    """The reference clock: the samples of the microphone and their times."""

    def __init__(self, server: PulseServer) -> None:
        command = ["parec", "--latency-msec=5", "--raw", "--format=s16le", "--channels=1"]
        self._process = subprocess.Popen(
            [*command, f"--rate={RATE}", "--device=kws.monitor"],
            env=server.environment,
            stdout=subprocess.PIPE,
        )
        self._pieces: list[bytes] = []
        self._times: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(5)

    @property
    def samples(self) -> np.ndarray:
        """All int16 samples so far."""
        return np.frombuffer(b"".join(self._pieces)[: 2 * self._times[-1][0]], dtype=np.int16)

    def time_of(self, sample: int) -> float:
        """Return when a sample was there."""
        ends = [end for end, _ in self._times]
        return self._times[int(np.searchsorted(ends, sample, side="right"))][1]

    def _read(self) -> None:
        assert self._process.stdout is not None
        n_bytes = 0
        while piece := os.read(self._process.stdout.fileno(), 4096):
            now = time.monotonic()
            self._pieces.append(piece)
            n_bytes += len(piece)
            self._times.append((n_bytes // 2, now))


def place(audio: np.ndarray, recording: np.ndarray) -> int:
    """Return the position of `audio` in a recording."""
    # The loudest two seconds are enough.
    n_probe = 2 * RATE
    energy = np.cumsum(np.square(audio, dtype=np.float64))
    start = int(np.argmax(energy[n_probe:] - energy[:-n_probe]))
    size = 1 << int(np.ceil(np.log2(len(recording) + n_probe)))
    spectrum = np.fft.rfft(recording, size)
    spectrum *= np.conj(np.fft.rfft(audio[start : start + n_probe].astype(np.float64), size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: len(recording)])) - start


def words_of(truth: Path, audio: Path) -> list[Word]:
    """Return the words of a recording."""
    with truth.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"] == audio.name]
    return [Word(row["keyword"], float(row["end_s"])) for row in rows]


def latencies(
    words: list[Word], detected: list[tuple[str, float]], ends: list[float]
) -> list[float]:
    """Return the latency of each detected word; each detection counts once."""
    left = list(detected)
    found = []
    for word, end in zip(words, ends):
        for one in left:
            if one[0] == word.keyword and -0.5 <= one[1] - end <= LATEST_S:
                found.append(one[1] - end)
                left.remove(one)
                break
    return found


class Played(NamedTuple):
    """Results of one playback, in seconds."""

    after_end: list[float]
    """From the end of a word to its callback."""

    after_sample: list[float]
    """From the sample of the detection to the callback: the part added by live listening."""


def live(server: PulseServer, audio: Path, words: list[Word], config: CaptureConfig) -> Played:
    """Play it once."""
    detected: list[tuple[Detection, float]] = []
    blocks: list[np.ndarray] = []
    sink = Sink()
    sink.samples = blocks.append  # type: ignore[method-assign]
    spotter = KeywordSpotter.from_model("default")
    with Listener(spotter, "pulse", config=config, sinks=[sink]) as listener:
        listener.on_any(lambda detection: detected.append((detection, time.monotonic())))
        recorder = Recorder(server)
        waiting = threading.Thread(target=listener.wait, daemon=True)
        waiting.start()
        time.sleep(1.0)
        with server.playing(audio) as player:
            player.wait()
        time.sleep(LATEST_S)
        listener.stop()
        waiting.join(5)
        recorder.close()
        lost = listener.statistics.lost_samples
    assert lost == 0, f"{lost} samples lost"
    samples = soundfile.read(audio, dtype="int16")[0]
    first = place(samples, recorder.samples)
    shift = first - place(samples, np.concatenate(blocks))
    ends = [recorder.time_of(first + round(word.end_s * RATE)) for word in words]
    called = [(detection.keyword, at) for detection, at in detected]
    after_sample = [
        at - recorder.time_of(shift + round(detection.time_s * RATE) - 1)
        for detection, at in detected
    ]
    return Played(latencies(words, called, ends), after_sample)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=rig.DEMO)
    parser.add_argument("--truth", type=Path, default=rig.DEMO.with_suffix(".csv"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--block-ms", type=float, nargs="+", default=[50.0])
    parser.add_argument("--latency", nargs="+", default=["high"])
    arguments = parser.parse_args()
    words = words_of(arguments.truth, arguments.audio)
    spotter = KeywordSpotter.from_model("default")
    found = [each for block in read_file(arguments.audio) for each in spotter.process(block)]
    offline = latencies(
        words, [(each.keyword, each.time_s) for each in found], [word.end_s for word in words]
    )
    figures: dict[str, Any] = {"words": len(words), "file_s": rig.spread(offline)}
    sentences = []
    with rig.virtual_microphone() as server:
        os.environ.update(server.environment)
        for latency in arguments.latency:
            for block_ms in arguments.block_ms:
                config = CaptureConfig(latency=latency, block_ms=block_ms)
                took: list[float] = []
                added: list[float] = []
                for _ in range(arguments.repeat):
                    played = live(server, arguments.audio, words, config)
                    took += played.after_end
                    added += played.after_sample
                figures[f"{latency} {block_ms:g}"] = {
                    "live_s": rig.spread(took),
                    "added_s": rig.spread(added),
                }
                sentences.append(
                    f"--latency {latency} --block-ms {block_ms:g}: median {np.median(took):.3f} s, "
                    f"p95 {np.percentile(took, 95):.3f} s ({len(took)} words), of which live "
                    f"listening adds {np.median(added):.3f} s, p95 {np.percentile(added, 95):.3f} s"
                )
    rig.report(
        figures,
        f"From a word's end to its callback: {'; '.join(sentences)}; in the file itself median "
        f"{np.median(offline):.3f} s, p95 {np.percentile(offline, 95):.3f} s ({len(offline)})",
    )


if __name__ == "__main__":
    main()
