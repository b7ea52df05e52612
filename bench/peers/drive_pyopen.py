"""pyopen-wakeword: openWakeWord's models through the TensorFlow Lite C library."""

from __future__ import annotations

import pace
from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

THRESHOLD = 0.5


class PyopenWakeWord:
    """The loop of the package's own command line."""

    def __init__(self, options: dict) -> None:
        self.features = OpenWakeWordFeatures.from_builtin()
        self.detector = OpenWakeWord.from_builtin(Model(options["wake_word"]))
        self.n_inferences = self.n_detections = 0

    def feed(self, pcm: bytes) -> None:
        """Turn one chunk into embeddings and each into a decision."""
        for embedding in self.features.process_streaming(pcm):
            for probability in self.detector.process_streaming(embedding):
                self.n_inferences += 1
                if probability > THRESHOLD:
                    self.n_detections += 1


if __name__ == "__main__":
    pace.main(PyopenWakeWord, ("pyopen-wakeword", "numpy"))
