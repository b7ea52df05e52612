"""The engines: packages, pinned versions, drivers and chunk sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WAKE_WORD = "hey_jarvis"  # all three wake-word packages have a model of it
CHUNK_MS = 100


@dataclass(frozen=True)
class Peer:
    """One row of the comparison, or one for each of two chunk sizes."""

    name: str
    driver: str
    """Class in `drivers.py`."""

    environment: str
    """Name of the environment; peers may share one."""

    requirements: tuple[str, ...]
    does: str
    """What it detects, in a few words."""

    natural_chunk_ms: int = CHUNK_MS
    """Chunk size of its own command or documentation, a multiple of its step."""

    options: dict[str, Any] = field(default_factory=dict)
    """Of the driver."""

    by_default: bool = True


def _kws(mode: str, runtime: str | None = None) -> Peer:
    suffix = "-tflite" if runtime else ""
    return Peer(
        name=f"kws-{mode}{suffix}",
        driver="Kws",
        environment=f"kws{suffix}",
        requirements=(".[tflite]",) if runtime else (".",),
        does=f"10 words, {mode} form" + (f", {runtime}" if runtime else ""),
        options={"mode": mode, "runtime": runtime, "model": "default"},
        by_default=runtime is None,
    )


PEERS = (
    Peer("nothing", "Nothing", "nothing", (), "drops the audio: the baseline"),
    _kws("stream"),
    _kws("window"),
    _kws("stream", "tflite-runtime"),
    _kws("window", "tflite-runtime"),
    Peer(
        "pymicro-wakeword",
        "PymicroWakeWord",
        "pymicro-wakeword",
        ("pymicro-wakeword==2.5.0", "pymicro-features==2.0.2"),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=30,
        options={"wake_word": WAKE_WORD},
    ),
    Peer(
        "pyopen-wakeword",
        "PyopenWakeWord",
        "pyopen-wakeword",
        ("pyopen-wakeword==1.1.0",),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=80,
        options={"wake_word": WAKE_WORD},
    ),
    Peer(
        "openwakeword",
        "OpenWakeWord",
        "openwakeword",
        # tflite-runtime 2.14 does not run with numpy 2, which pip would choose.
        ("openwakeword==0.6.0", "tflite-runtime==2.14.0", "numpy<2"),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=80,
        options={"wake_word": WAKE_WORD, "models_of": "pyopen-wakeword"},
    ),
    Peer(
        "pocketsphinx",
        "Pocketsphinx",
        "pocketsphinx",
        ("pocketsphinx==5.1.1",),
        "10 words, keyword list",
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
REFERENCES = ("kws-stream", "kws-window")
