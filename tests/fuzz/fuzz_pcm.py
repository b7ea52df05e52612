"""Raw PCM from a pipe in any pieces, and a spotter fed with any samples in any pieces."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np

from fuzz.checks import check_message, expect
from fuzz.mutation import mutate_bytes
from kws import models
from kws.audio.files import read_file, read_pcm
from kws.decision.policy import Detection
from kws.errors import AudioError
from kws.spotter import KeywordSpotter

# First bytes of an input: the seed of how it is cut, and what is done with it.
HEAD_BYTES = 4
MODEL = "tiny"
# So low that nearly every window fires.
THRESHOLD = 0.02
# The fourth byte of inputs that go through the spotter: repeated to a minimum length, or as is.
SPOT = (1, 3)
MARKS = (b"RIFF", b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04")
LONG_BYTES = 2 * 24_000
PIECES = ((1,), (2,), (3,), (1, 4, 7), (1_599, 2), (3_200,), (1, 100_000), (100_000,))


def seeds() -> list[bytes]:
    """Return pieces of the demo recording and of noise, silence, steps and full scale."""
    demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
    rng = np.random.default_rng(0)
    sounds = [
        *(demo[8_000:8_400], demo[8_000:9_500], np.zeros(300, np.int16)),
        rng.integers(-32_768, 32_767, 500, endpoint=True).astype(np.int16),
        np.tile(np.array([-32_768, 32_767], np.int16), 200),
        np.full(400, -32_768, np.int16),
    ]
    payloads = [sound.astype("<i2").tobytes() for sound in sounds]
    payloads += [b"", b"\x01", b"\x01\x02\x03", *(mark + bytes(20) for mark in MARKS)]
    # Each once as it is and once repeated until it is long enough for a spotter.
    return [bytes((n, 0, 0, use)) + data for n, data in enumerate(payloads) for use in (0, *SPOT)]


class Pipe(io.RawIOBase):
    """A pipe that hands over its bytes in pieces of given sizes, over and over."""

    def __init__(self, content: bytes, sizes: tuple[int, ...]) -> None:
        self._content = memoryview(content)
        self._sizes = sizes
        self._n_reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        n = min(len(buffer), self._sizes[self._n_reads % len(self._sizes)], len(self._content))
        self._n_reads += 1
        buffer[:n] = self._content[:n]
        self._content = self._content[n:]
        return n


class Watch:
    """A spotter whose posteriors, scores and detections are checked as they come."""

    def __init__(self, mode: str) -> None:
        self._spotter = KeywordSpotter.from_model(MODEL, mode=mode, thresholds=THRESHOLD)
        self._spotter.on_posterior = self._check
        self.posteriors: list[bytes] = []

    def _check(self, time_s: float, posterior: np.ndarray, scores: np.ndarray | None) -> None:
        self.posteriors.append(posterior.tobytes())
        for values in (posterior, scores):
            if values is not None:
                inside = bool(((values >= 0) & (values <= 1)).all())
                expect(inside, "values 0..1, never NaN", values)

    def detect(self, pieces: list[np.ndarray], *, lost: int = 0) -> list[Detection]:
        """Return the detections in these pieces, with `lost` samples missing after the first."""
        spotter = self._spotter
        spotter.reset()
        self.posteriors = []
        detections = []
        for number, piece in enumerate(pieces):
            before_s = spotter.time_s
            found = spotter.process(piece)
            if number == 0 and lost:
                spotter.skip(lost)
            for detection in found:
                self._check_detection(detection, before_s)
            detections += found
        n_samples = sum(map(len, pieces)) + (lost if pieces else 0)
        expect(spotter.time_s == n_samples / spotter.sample_rate, "all samples counted", n_samples)
        for detection in spotter.flush():
            self._check_detection(detection, 0.0)
            detections.append(detection)
        return detections

    def _check_detection(self, detection: Detection, since_s: float) -> None:
        keyword, score, time_s = detection.keyword, detection.score, detection.time_s
        expect(keyword in self._spotter.keywords, "a keyword that may fire", detection)
        expect(type(score) is float and THRESHOLD <= score <= 1, "a score above it", detection)
        expect(type(time_s) is float and since_s <= time_s < 30, "its time", detection)


class Target:
    """Read the input from a pipe, then process it."""

    max_bytes = 4_200

    def __init__(self, folder: Path) -> None:
        self._watches = [Watch("stream"), Watch("window")]

    def seeds(self) -> list[bytes]:
        """Return real and made sound."""
        return seeds()

    def mutate(self, data: bytes, rng: random.Random) -> bytes:
        """Return other samples, or the same ones cut in another way."""
        head, payload = bytearray(data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")), data[HEAD_BYTES:]
        if rng.random() < 0.4:
            head[rng.randrange(HEAD_BYTES)] = rng.randrange(256)
        if rng.random() < 0.97:
            head[3] = 0
        return bytes(head) + mutate_bytes(payload, rng)

    def __call__(self, data: bytes) -> str:
        """Try one input; return what came of it."""
        head, payload = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
        rng = random.Random(head)
        # Seldom, because hearing takes a thousand times as long as reading.
        spotted = head[3] in SPOT and head[2] % 8 == 0
        long = spotted and head[3] == SPOT[0] and len(payload) > 0
        if long:
            payload = (payload * (LONG_BYTES // len(payload) + 1))[: LONG_BYTES + head[2]]
        samples = self._read(payload, rng, chunk_samples=1_600 if long else rng.choice((1, 7, 500)))
        if samples is None:
            return "AudioError"
        if spotted:
            self._hear(samples, rng)
            return "spotted"
        return "samples"

    def _read(self, payload: bytes, rng: random.Random, *, chunk_samples: int) -> np.ndarray | None:
        sizes = rng.choice(PIECES if len(payload) < 1_000 else PIECES[4:])
        stream = io.BufferedReader(Pipe(payload, sizes), buffer_size=rng.choice((16, 8_192)))
        pieces = []
        try:
            for piece in read_pcm(stream, chunk_samples=chunk_samples):
                expect(0 < len(piece) <= chunk_samples, "pieces no longer than asked for", piece)
                expect(piece.dtype == np.int16, "int16", piece.dtype)
                pieces.append(piece)
        except AudioError as error:
            check_message(error, where="stdin")
            expect(len(payload) < 2 or payload[:4] in MARKS, "an error with a reason", payload[:8])
            return None
        expect(len(payload) >= 2, "an error for less than a sample", payload)
        samples = np.concatenate(pieces)
        expected = np.frombuffer(payload[: len(payload) // 2 * 2], dtype="<i2")
        expect(bool(np.array_equal(samples, expected)), "every sample, in order", len(samples))
        return samples

    def _hear(self, samples: np.ndarray, rng: random.Random) -> None:
        """Hear the samples in pieces, and at once; both must be equal to the last bit."""
        watch = rng.choice(self._watches)
        lost = rng.choice((0, 0, 1, 160_000))
        longest = rng.choice((30, 700, 2_000, 30_000))
        pieces = []
        start = 0
        while start < len(samples):
            pieces.append(samples[start : start + rng.randint(0, longest)])
            start += len(pieces[-1])
        found = watch.detect(pieces, lost=lost)
        if not lost:
            posteriors = watch.posteriors
            expect(found == watch.detect([samples]), "the same however it is cut", found)
            expect(posteriors == watch.posteriors, "equal posteriors however it is cut", "")
