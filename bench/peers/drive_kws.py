"""kws: samples in, decisions out, through the code that listens."""

from __future__ import annotations

import numpy as np
import pace

from kws import KeywordSpotter


class Kws:
    """`KeywordSpotter.process`, in the form and with the interpreter that the job names."""

    def __init__(self, options: dict) -> None:
        self.spotter = KeywordSpotter.from_model(
            options["model"], mode=options["mode"], runtime=options["runtime"]
        )
        if self.spotter.model.mode != options["mode"]:
            raise SystemExit(f"expected the {options['mode']} form, got {self.spotter.model.mode}")
        self.spotter.on_posterior = self._count
        self.n_inferences = self.n_detections = 0

    def _count(self, time_s: float, posterior: object, scores: object) -> None:
        self.n_inferences += 1

    def feed(self, pcm: bytes) -> None:
        """Process one chunk and count what it brings."""
        self.n_detections += len(self.spotter.process(np.frombuffer(pcm, dtype=np.int16)))


if __name__ == "__main__":
    pace.main(Kws, ("kws", "ai-edge-litert", "tflite-runtime", "numpy"))
