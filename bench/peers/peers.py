"""Who is measured: packages, pinned versions, drivers and the chunks that each likes best."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WAKE_WORD = "hey_jarvis"  # the one that all three wake-word packages have a model of
CHUNK_MS = 100


@dataclass(frozen=True)
class Peer:
    """One row of the comparison, or one for each of two chunk sizes."""

    name: str
    driver: str
    """File beside this one that runs in the peer's environment."""

    environment: str
    """Name of the environment; peers may share one."""

    requirements: tuple[str, ...]
    does: str
    """What it listens for, in a few words."""

    natural_chunk_ms: int = CHUNK_MS
    """What its own command or documentation feeds, a whole number of its steps."""

    options: dict[str, Any] = field(default_factory=dict)
    """Handed to the driver."""

    by_default: bool = True


def _kws(mode: str, runtime: str | None = None) -> Peer:
    suffix = "-tflite" if runtime else ""
    return Peer(
        name=f"kws-{mode}{suffix}",
        driver="drive_kws.py",
        environment=f"kws{suffix}",
        requirements=(".[tflite]",) if runtime else (".",),
        does=f"10 words, {mode} form" + (f", {runtime}" if runtime else ""),
        options={"mode": mode, "runtime": runtime, "model": "default"},
        by_default=runtime is None,
    )


PEERS = (
    Peer("nothing", "drive_nothing.py", "nothing", (), "drops the audio: the floor"),
    _kws("stream"),
    _kws("window"),
    _kws("stream", "tflite-runtime"),
    _kws("window", "tflite-runtime"),
    Peer(
        "pymicro-wakeword",
        "drive_pymicro.py",
        "pymicro-wakeword",
        ("pymicro-wakeword==2.5.0", "pymicro-features==2.0.2"),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=30,
        options={"wake_word": WAKE_WORD},
    ),
    Peer(
        "pyopen-wakeword",
        "drive_pyopen.py",
        "pyopen-wakeword",
        ("pyopen-wakeword==1.1.0",),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=80,
        options={"wake_word": WAKE_WORD},
    ),
    Peer(
        "openwakeword",
        "drive_openwakeword.py",
        "openwakeword",
        # tflite-runtime 2.14 does not run with numpy 2, which pip would choose.
        ("openwakeword==0.6.0", "tflite-runtime==2.14.0", "numpy<2"),
        f"1 wake word, {WAKE_WORD}",
        natural_chunk_ms=80,
        options={"wake_word": WAKE_WORD, "models_of": "pyopen-wakeword"},
    ),
    Peer(
        "pocketsphinx",
        "drive_pocketsphinx.py",
        "pocketsphinx",
        ("pocketsphinx==5.1.1",),
        "10 words, keyword list",
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
REFERENCES = ("kws-stream", "kws-window")
