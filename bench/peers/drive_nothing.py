"""Nothing at all: what pacing, a bare Python and the measuring itself cost."""

from __future__ import annotations

import pace


class Nothing:
    """Takes audio and drops it."""

    def __init__(self, options: dict) -> None:
        self.n_inferences = self.n_detections = 0

    def feed(self, pcm: bytes) -> None:
        """Count the chunk."""
        self.n_inferences += 1


if __name__ == "__main__":
    pace.main(Nothing, ())
