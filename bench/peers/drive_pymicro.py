"""pymicro-wakeword: its micro front end and its bundled streaming model of one wake word."""

from __future__ import annotations

import pace
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model


class PymicroWakeWord:
    """The loop of the package's own command line."""

    def __init__(self, options: dict) -> None:
        self.features = MicroWakeWordFeatures()
        self.detector = MicroWakeWord.from_builtin(Model(options["wake_word"]))
        self.n_features = self.n_detections = 0

    @property
    def n_inferences(self) -> int:
        """The model is invoked once every `stride` feature vectors."""
        return self.n_features // self.detector.stride

    def feed(self, pcm: bytes) -> None:
        """Turn one chunk into features and each into a decision."""
        for features in self.features.process_streaming(pcm):
            self.n_features += 1
            if self.detector.process_streaming(features):
                self.n_detections += 1


if __name__ == "__main__":
    pace.main(PymicroWakeWord, ("pymicro-wakeword", "pymicro-features", "numpy"))
