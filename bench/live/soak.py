"""Hours of live listening faster than real time: no losses, no missed words, no growing memory.

Speech, with the demo recording at known positions, goes through the live path except PortAudio: a
simulated device delivers it in 50 ms blocks in simulated time (`tests/support/fake_audio.py`).
Afterwards another process runs `KeywordSpotter.process` on the same audio in chunks of 7 s.

    export PYTHONPATH=tests
    python bench/live/soak.py --hours 6
    python bench/live/soak.py --hours 6 --rate 48000
    python bench/live/soak.py --hours 2 --lose-every 10       # a loss every ten seconds
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# Before numpy loads: on matrices as small as these, BLAS threads would only spin.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import soxr
from support.fake_audio import FakeAudio

from kws import KeywordSpotter, Listener, models
from kws.audio.conditioning import Conditioner
from kws.audio.files import read_file
from kws.bench.host import cpu_name
from kws.decision.policy import Detection
from kws.live.reports import ListenerEvent
from kws.live.sinks import Sink

RATE = 16_000
# Interval between two plays of the demo, in seconds of audio.
DEMO_EVERY_S = 600
# Time for loading, first windows, and allocators.
WARM_UP_S = 1_200
READING_EVERY_S = 900
PIECE_S = 7
BLOCK_S = 0.05
# Latest detection after the end of a word.
LATEST_S = 1.0
HOP_S = 0.101


class Programme:
    """Speech in a random order from a seed, with the demo at intervals; read on demand.

    Replaces `fake_audio.Room`, but each sample is returned only once, in order.
    """

    def __init__(self, folder: Path, *, rate: int, seed: int) -> None:
        self._files = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac"))
        if not self._files:
            sys.exit(f"{folder}: expected speech as .wav or .flac; set KWS_DATA or give --speech")
        self._order = random.Random(seed)
        self._raiser = soxr.ResampleStream(RATE, rate, 1, dtype="float32") if rate != RATE else None
        self._kept = np.zeros(0, dtype=np.int16)
        self._at = 0
        self.demo_starts: list[int] = []
        """Positions of the demo, in samples at 16 kHz."""

        self._chunks = self._read()

    def hear(self, rate: int, start: int, n: int) -> np.ndarray:
        """Return the next samples; `start` may skip some, like a lost device."""
        self._fill(start + n - self._at)
        samples = self._kept[start - self._at : start - self._at + n].copy()
        self._kept = self._kept[start + n - self._at :]
        self._at = start + n
        return samples

    def _fill(self, n: int) -> None:
        pieces = [self._kept]
        n -= len(self._kept)
        while n > 0:
            chunk = next(self._chunks)
            if self._raiser is not None:
                raised = self._raiser.resample_chunk(chunk.astype(np.float32))
                chunk = np.clip(np.round(raised), -32_768, 32_767).astype(np.int16)
            pieces.append(chunk)
            n -= len(chunk)
        self._kept = np.concatenate(pieces)

    def _read(self) -> Iterator[np.ndarray]:
        n_samples = 0
        demo = models.FIRMWARE_MODELS / "demo.wav"
        while True:
            for path in self._order.sample(self._files, len(self._files)):
                if n_samples >= len(self.demo_starts) * DEMO_EVERY_S * RATE:
                    self.demo_starts.append(n_samples)
                    for chunk in read_file(demo):
                        n_samples += len(chunk)
                        yield chunk
                for chunk in read_file(path):
                    n_samples += len(chunk)
                    yield chunk


class Readings:
    """Memory, threads and file descriptors of this process, at intervals."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, int, int, int]] = []
        self._next_s = WARM_UP_S

    def take(self, audio_s: float) -> None:
        """Read them if it is time."""
        if audio_s < self._next_s:
            return
        self._next_s += READING_EVERY_S
        self.rows.append((audio_s, _rss_kb(), threading.active_count(), _n_descriptors()))


def _rss_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise OSError("/proc/self/status: expected a line VmRSS")


def _n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Soak(Sink):
    """One long session."""

    def __init__(self, given: argparse.Namespace, found: Path) -> None:
        self._given = given
        self.programme = Programme(given.speech, rate=given.rate, seed=given.seed)
        self.audio = audio = FakeAudio(self.programme)  # type: ignore[arg-type]
        audio.rate = given.rate
        audio.opening_s = lambda: 0.0
        audio.block_samples = lambda rate: round(BLOCK_S * rate)
        self.listener = Listener(KeywordSpotter.from_model(given.model), sinks=[self], system=audio)
        self.listener.on_any(self._called)
        self.readings = Readings()
        self.events: dict[str, int] = {}
        self.n_called = 0
        self._found = found

    def run(self) -> float:
        """Listen; return the seconds it took."""
        if self._given.lose_every:
            self._lose_and_find()
        started = time.monotonic()
        with self.listener as listener, open(self._found, "w", encoding="utf-8") as file:
            for detection in listener.detections(self._given.hours * 3_600):
                file.write(json.dumps(_row(detection)) + "\n")
        self.audio.end()
        return time.monotonic() - started

    def _called(self, detection: Detection) -> None:
        self.n_called += 1

    def poll(self) -> None:
        """Take a reading if it is due."""
        self.readings.take(self.listener.spotter.time_s)

    def status(self, event: ListenerEvent) -> None:
        """Count an event."""
        self.events[event.kind] = self.events.get(event.kind, 0) + 1
        if event.kind == "returned":
            # The device keeps its history for tests; here that would only grow.
            audio = self.audio
            del audio.sources[:-1], audio.streams[:-1], audio.calls[:-1]
            del audio.asked[:], audio.rescanned_s[:], audio.silenced_s[:]

    def _lose_and_find(self) -> None:
        every_s, audio = self._given.lose_every, self.audio

        def lose() -> None:
            audio.unplug(quietly=audio.time.now_s % (2 * every_s) < every_s)
            audio.at(audio.time.now_s + 0.5, audio.plug_in)
            audio.at(audio.time.now_s + every_s, lose)

        audio.at(every_s, lose)


def _row(detection: Detection) -> tuple[str, float, float]:
    return detection.keyword, detection.score, detection.time_s


def reference(given: argparse.Namespace, n_samples: int, *, conditioned: bool) -> list[list]:
    """Return the detections of `KeywordSpotter.process` in the same audio, in other chunks."""
    programme = Programme(given.speech, rate=given.rate, seed=given.seed)
    spotter = KeywordSpotter.from_model(given.model)
    conditioner = Conditioner(given.rate, RATE)
    found: list[Detection] = []
    at = 0
    while at < n_samples:
        # The offset filter starts with the first chunk.
        n = min(round((PIECE_S if at else BLOCK_S) * given.rate), n_samples - at)
        samples = programme.hear(given.rate, at, n)
        found += spotter.process(conditioner.push(samples) if conditioned else samples)
        at += n
    return [list(_row(detection)) for detection in found]


def demo_words() -> list[tuple[str, float, float]]:
    """Return the words of the demo with start and end."""
    lines = (models.FIRMWARE_MODELS / "demo.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    return [(keyword, float(start_s), float(end_s)) for _, keyword, start_s, end_s in rows]


def detected_words(found: list[list], starts: list[int], audio_s: float) -> tuple[int, int]:
    """Return how many words of the demo were detected in time, and how many there were."""
    spoken = [
        (keyword, start / RATE + start_s, start / RATE + end_s + LATEST_S)
        for start in starts
        for keyword, start_s, end_s in demo_words()
        if start / RATE + end_s + LATEST_S < audio_s
    ]
    hits = [
        any(keyword == word and begin_s < time_s < end_s for word, _, time_s in found)
        for keyword, begin_s, end_s in spoken
    ]
    return sum(hits), len(spoken)


def report(soak: Soak, seconds: float, given: argparse.Namespace, found: list[list]) -> None:
    """Print the results."""
    statistics = soak.listener.statistics
    cpu = cpu_name()
    print(f"machine: {platform.platform()}, {cpu}, Python {platform.python_version()}")
    print(f"audio: {statistics.audio_s / 3_600:.3f} h at {given.rate} Hz, model {given.model}")
    print(f"took: {seconds:.0f} s, {statistics.audio_s / seconds:.0f} times real time")
    print(f"statistics: {statistics._asdict()}")
    print(f"callbacks called: {soak.n_called}; events: {soak.events or 'none'}")
    n_hits, n_words = detected_words(found, soak.programme.demo_starts, statistics.audio_s)
    print(f"words of the demo: {n_hits} of {n_words} detected in time")
    for audio_s, rss_kb, n_threads, n_files in soak.readings.rows:
        print(f"  {audio_s / 3_600:6.2f} h  RSS {rss_kb} kB  {n_threads} threads  {n_files} files")
    rows = soak.readings.rows
    if len(rows) > 1:
        print(f"RSS after warm-up to the end: {rows[-1][1] - rows[0][1]:+d} kB")


def compare(given: argparse.Namespace, found: list[list], audio_s: float) -> bool:
    """Print the detections of the same audio without a listener; return whether they are equal."""
    same = False
    for conditioned in (True, False) if given.rate == RATE else (True,):
        command = [sys.executable, __file__, *sys.argv[1:], "--reference"]
        command += [str(round(audio_s * given.rate)), *(["--raw"] if not conditioned else [])]
        other = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        what = "with conditioning" if conditioned else "without conditioning"
        equal = sum(one in other for one in found)
        near = sum(
            any(one[0] == each[0] and abs(one[2] - each[2]) < HOP_S for each in other)
            for one in found
        )
        print(
            f"KeywordSpotter.process, {what}: {len(other)} detections, {equal} of {len(found)} "
            f"identical, {near} the same word at most one hop away"
        )
        same |= conditioned and found == other
    return same


def main() -> int:
    """Parse the arguments and run."""
    made = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    made.add_argument("--hours", type=float, default=6.0)
    made.add_argument("--rate", type=int, default=RATE, help="of the device, in Hz")
    made.add_argument("--model", default="default")
    made.add_argument("--seed", type=int, default=1)
    speech = Path(os.environ.get("KWS_DATA", "")) / "librispeech"
    made.add_argument("--speech", type=Path, default=speech, help="folder of recordings")
    made.add_argument("--lose-every", type=float, default=0.0, metavar="S")
    made.add_argument("--reference", type=int, default=0, help=argparse.SUPPRESS)
    made.add_argument("--raw", action="store_true", help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.reference:
        print(json.dumps(reference(given, given.reference, conditioned=not given.raw)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(given, Path(folder) / "found")
        seconds = soak.run()
        found = [json.loads(line) for line in (Path(folder) / "found").read_text().splitlines()]
    report(soak, seconds, given, found)
    if given.lose_every:
        return 0
    same = compare(given, found, soak.listener.statistics.audio_s)
    return int(not same or soak.listener.statistics.lost_samples > 0)


if __name__ == "__main__":
    sys.exit(main())
