"""openwakeword with tflite-runtime; its wheel holds no models, so another package lends them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pace
from openwakeword import Model

THRESHOLD = 0.5
FRAME_BYTES = 2 * 1_280  # it infers once for every 80 ms


class OpenWakeWord:
    """One wake word, no voice activity detection, no noise suppression: its defaults."""

    def __init__(self, options: dict) -> None:
        models = Path(options["models"])
        self.name = options["wake_word"]
        self.model = Model(
            wakeword_models=[str(models / f"{self.name}.tflite")],
            inference_framework="tflite",
            melspec_model_path=str(models / "melspectrogram.tflite"),
            embedding_model_path=str(models / "embedding_model.tflite"),
        )
        self.n_bytes = self.n_detections = 0

    @property
    def n_inferences(self) -> int:
        """It keeps what is left of a chunk and infers once 80 ms are there."""
        return self.n_bytes // FRAME_BYTES

    def feed(self, pcm: bytes) -> None:
        """Predict on one chunk, as its examples do."""
        self.n_bytes += len(pcm)
        scores = self.model.predict(np.frombuffer(pcm, dtype=np.int16))
        if scores[self.name] > THRESHOLD:
            self.n_detections += 1


if __name__ == "__main__":
    pace.main(OpenWakeWord, ("openwakeword", "tflite-runtime", "numpy"))
