"""pocketsphinx with a list of the ten words, its bundled English model."""

from __future__ import annotations

import tempfile

import pace
from pocketsphinx import Config, Decoder

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
# What it costs hardly depends on this; with less, the demo's words come with more false ones.
THRESHOLD = "1e-1"


class Pocketsphinx:
    """Keyword search; a new utterance after each hit, as its documentation does it."""

    def __init__(self, options: dict) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".list") as words:
            words.writelines(f"{word} /{THRESHOLD}/\n" for word in WORDS)
            words.flush()
            self.decoder = Decoder(Config(kws=words.name, lm=None, loglevel="FATAL"))
        self.decoder.start_utt()
        self.n_earlier_frames = self.n_detections = 0

    @property
    def n_inferences(self) -> int:
        """Frames of 10 ms that were searched."""
        return self.n_earlier_frames + self.decoder.n_frames()

    def feed(self, pcm: bytes) -> None:
        """Search one chunk; after a hit, start anew."""
        self.decoder.process_raw(pcm, False, False)
        if self.decoder.hyp() is not None:
            self.n_detections += 1
            self.n_earlier_frames += self.decoder.n_frames()
            self.decoder.end_utt()
            self.decoder.start_utt()


if __name__ == "__main__":
    pace.main(Pocketsphinx, ("pocketsphinx",))
