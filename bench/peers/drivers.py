"""Runs in a peer's environment: hands it audio as its own command would, and measures.

    python drivers.py CLASS JOB     the class below; the job as JSON (see `pace.main`)

Each constructor takes the options of the job and imports its own peer, since no environment has
all of them. `feed` takes 16-bit PCM at 16 kHz; `n_inferences` and `n_detections` count.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pace

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


class Nothing:
    """Drop the audio: the cost of pacing, a bare Python and the measurement itself."""

    packages = ()

    def __init__(self, options: dict) -> None:
        self.n_inferences = self.n_detections = 0

    def feed(self, pcm: bytes) -> None:
        """Count the chunk."""
        self.n_inferences += 1


class Kws:
    """`KeywordSpotter.process`, with the form and the interpreter of the job."""

    packages = ("kws", "ai-edge-litert", "tflite-runtime", "numpy")

    def __init__(self, options: dict) -> None:
        import numpy as np

        from kws import KeywordSpotter

        self.spotter = KeywordSpotter.from_model(
            options["model"], mode=options["mode"], runtime=options["runtime"]
        )
        if self.spotter.model.mode != options["mode"]:
            raise SystemExit(f"expected the {options['mode']} form, got {self.spotter.model.mode}")
        self.spotter.on_posterior = self._count
        self.n_inferences = self.n_detections = 0
        self.np = np

    def _count(self, time_s: float, posterior: object, scores: object) -> None:
        self.n_inferences += 1

    def feed(self, pcm: bytes) -> None:
        """Process one chunk and count its detections."""
        samples = self.np.frombuffer(pcm, dtype=self.np.int16)
        self.n_detections += len(self.spotter.process(samples))


class OpenWakeWord:
    """openwakeword with tflite-runtime, one wake word, its defaults.

    Its wheel has no models, so those of pyopen-wakeword are used.
    """

    packages = ("openwakeword", "tflite-runtime", "numpy")
    threshold = 0.5
    frame_bytes = 2 * 1_280  # one inference for every 80 ms

    def __init__(self, options: dict) -> None:
        import numpy as np
        from openwakeword import Model

        models = Path(options["models"])
        self.name = options["wake_word"]
        self.model = Model(
            wakeword_models=[str(models / f"{self.name}.tflite")],
            inference_framework="tflite",
            melspec_model_path=str(models / "melspectrogram.tflite"),
            embedding_model_path=str(models / "embedding_model.tflite"),
        )
        self.n_bytes = self.n_detections = 0
        self.np = np

    @property
    def n_inferences(self) -> int:
        """It buffers audio and infers for every complete 80 ms."""
        return self.n_bytes // self.frame_bytes

    def feed(self, pcm: bytes) -> None:
        """Predict on one chunk, as its examples do."""
        self.n_bytes += len(pcm)
        scores = self.model.predict(self.np.frombuffer(pcm, dtype=self.np.int16))
        if scores[self.name] > self.threshold:
            self.n_detections += 1


class PymicroWakeWord:
    """pymicro-wakeword: its bundled streaming model, as its own command runs it."""

    packages = ("pymicro-wakeword", "pymicro-features", "numpy")

    def __init__(self, options: dict) -> None:
        from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

        self.features = MicroWakeWordFeatures()
        self.detector = MicroWakeWord.from_builtin(Model(options["wake_word"]))
        self.n_features = self.n_detections = 0

    @property
    def n_inferences(self) -> int:
        """The model is invoked once for every `stride` feature vectors."""
        return self.n_features // self.detector.stride

    def feed(self, pcm: bytes) -> None:
        """Turn one chunk into features and decisions."""
        for features in self.features.process_streaming(pcm):
            self.n_features += 1
            if self.detector.process_streaming(features):
                self.n_detections += 1


class PyopenWakeWord:
    """pyopen-wakeword: openWakeWord's models by the TensorFlow Lite C library."""

    packages = ("pyopen-wakeword", "numpy")
    threshold = 0.5

    def __init__(self, options: dict) -> None:
        from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

        self.features = OpenWakeWordFeatures.from_builtin()
        self.detector = OpenWakeWord.from_builtin(Model(options["wake_word"]))
        self.n_inferences = self.n_detections = 0

    def feed(self, pcm: bytes) -> None:
        """Turn one chunk into embeddings and decisions."""
        for embedding in self.features.process_streaming(pcm):
            for probability in self.detector.process_streaming(embedding):
                self.n_inferences += 1
                if probability > self.threshold:
                    self.n_detections += 1


class Pocketsphinx:
    """pocketsphinx: keyword search for the ten words with its bundled English model."""

    packages = ("pocketsphinx",)
    # Hardly changes the cost; lower values add false detections.
    threshold = "1e-1"

    def __init__(self, options: dict) -> None:
        from pocketsphinx import Config, Decoder

        with tempfile.NamedTemporaryFile("w", suffix=".list") as words:
            words.writelines(f"{word} /{self.threshold}/\n" for word in WORDS)
            words.flush()
            self.decoder = Decoder(Config(kws=words.name, lm=None, loglevel="FATAL"))
        self.decoder.start_utt()
        self.n_earlier_frames = self.n_detections = 0

    @property
    def n_inferences(self) -> int:
        """Frames of 10 ms that were searched."""
        return self.n_earlier_frames + self.decoder.n_frames()

    def feed(self, pcm: bytes) -> None:
        """Search one chunk; start a new utterance after each hit, as its documentation does."""
        self.decoder.process_raw(pcm, False, False)
        if self.decoder.hyp() is not None:
            self.n_detections += 1
            self.n_earlier_frames += self.decoder.n_frames()
            self.decoder.end_utt()
            self.decoder.start_utt()


if __name__ == "__main__":
    pace.main(globals()[sys.argv[1]], sys.argv[2])
