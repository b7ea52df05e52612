"""Run the peers in turn, each in its own process and environment, on the same audio."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import Environments, PeerError, clean_environment, error_line
from peers import BY_NAME, CHUNK_MS, Peer

SAMPLE_RATE = 16_000
BYTES_PER_S = 2 * SAMPLE_RATE
HERE = Path(__file__).resolve().parent
# openwakeword keeps ten seconds of audio and costs more once it has them.
WARM_UP_S = 12.0
COLD_STARTS_PER_ROUND = 3
COLD_START_AUDIO_S = 5.0


class AudioError(Exception):
    """The file is not 16 kHz mono 16-bit WAV; the message is one line."""


def looped(path: Path, seconds: float) -> bytes:
    """Return this many seconds of a WAV, from its beginning, repeated as needed."""
    try:
        with wave.open(str(path), "rb") as sound:
            got = (sound.getframerate(), sound.getnchannels(), 8 * sound.getsampwidth())
            pcm = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise AudioError(f"{path}: expected a WAV file: {error}") from error
    if got != (SAMPLE_RATE, 1, 16):
        raise AudioError(
            f"{path}: expected 16000 Hz, 1 channel, 16 bit, got {got[0]} Hz, {got[1]} channel(s), "
            f"{got[2]} bit; convert it first (ffmpeg -i {path} -ar 16000 -ac 1 out.wav)"
        )
    if not pcm:
        raise AudioError(f"{path}: expected audio, got a file without samples")
    n_bytes = int(seconds * SAMPLE_RATE) * 2
    return (pcm * (n_bytes // len(pcm) + 1))[:n_bytes]


@dataclass
class Case:
    """A peer with one chunk size, and its measurements, one value per round."""

    peer: Peer
    chunk_ms: int
    python: Path
    options: dict[str, Any]
    samples: dict[str, list[float]] = field(
        default_factory=lambda: {
            "burst": [],
            "paced": [],
            "rss_mb": [],
            "cold_start_s": [],
            "cold_start_cpu_s": [],
        }
    )
    last: dict[str, Any] = field(default_factory=dict)
    """The driver's last answer to a run back to back."""

    late_chunks: int = 0

    @property
    def label(self) -> str:
        """Name in messages."""
        return f"{self.peer.name} ({self.chunk_ms} ms)"


def prepare(
    names: list[str], environments: Environments, model: str | None, skipped: dict[str, str]
) -> Iterator[Case]:
    """Install each peer and yield its cases; note those that do not install.

    Parameters
    ----------
    names : list of str
        Peers, in the order of their turns.
    environments : Environments
        Where they are installed.
    model : str, optional
        Model of kws instead of its default.
    skipped : dict of str to str
        Receives a reason for each peer that is left out.
    """
    for name in names:
        peer = BY_NAME[name]
        options = dict(peer.options)
        if model is not None and "model" in options:
            found = Path(model)
            options["model"] = str(found.resolve()) if found.exists() else model
        try:
            if "models_of" in options:
                lender = BY_NAME[options["models_of"]]
                lent = environments.prepare(lender.environment, lender.requirements)
                options["models"] = _models_of(lent, lender)
            python = environments.prepare(peer.environment, peer.requirements)
        except PeerError as error:
            _skip(skipped, name, f"does not install: {error}")
            continue
        for chunk_ms in dict.fromkeys((CHUNK_MS, peer.natural_chunk_ms)):
            yield Case(peer, chunk_ms, python, options)


def _models_of(python: Path, lender: Peer) -> str:
    package = lender.name.replace("-", "_")
    folders = list(python.parents[1].glob(f"lib/python*/site-packages/{package}/models"))
    if not folders:
        raise PeerError(f"{lender.name} is needed for its models, but has none")
    return str(folders[0])


def _skip(skipped: dict[str, str], name: str, reason: str) -> None:
    skipped[name] = reason
    print(f"{name}: left out: {reason}", file=sys.stderr)


def measure_in_turns(
    cases: list[Case],
    pcm: bytes,
    seconds: dict[str, float],
    rounds: int,
    skipped: dict[str, str],
) -> list[Case]:
    """Measure all cases in turns, A B C A B C, and return those that ran to the end.

    Parameters
    ----------
    cases : list of Case
        Receive their samples, one per round.
    pcm : bytes
        The audio of all, warm-up included.
    seconds : dict of str to float
        What to measure, ``burst`` or ``paced``, and on how much audio.
    rounds : int
        More make the medians steadier.
    skipped : dict of str to str
        Receives a reason for each peer that is left out.
    """
    # The first start reads from the disk and compiles, and does not count.
    plan = [(0, "cold")]
    for number in range(1, rounds + 1):
        plan += [(number, measure) for measure in (*seconds, *["cold"] * COLD_STARTS_PER_ROUND)]
    with tempfile.TemporaryDirectory() as folder:
        whole, short = Path(folder) / "whole.s16le", Path(folder) / "short.s16le"
        whole.write_bytes(pcm)
        short.write_bytes(pcm[: int(BYTES_PER_S * COLD_START_AUDIO_S)])
        for number, measure in plan:
            audio = short if measure == "cold" else whole
            for case in cases:
                # A cold start does not depend on the chunks: once a peer is enough.
                once = measure == "cold" and case.chunk_ms != CHUNK_MS
                if once or case.peer.name in skipped:
                    continue
                try:
                    answer = _drive(case, measure, audio, seconds.get(measure, 0.0))
                except PeerError as error:
                    _skip(skipped, case.peer.name, f"does not run: {error}")
                    continue
                if number:
                    _keep(case, measure, answer, f"round {number} of {rounds}")
    return [case for case in cases if case.peer.name not in skipped]


def _drive(case: Case, measure: str, pcm: Path, seconds: float) -> dict[str, Any]:
    """Run a driver once in its own process and environment."""
    job = {
        "pcm": str(pcm),
        "measure": measure,
        "chunk_ms": case.chunk_ms,
        "warm_up_s": WARM_UP_S,
        "seconds": seconds,
        "options": case.options,
        "spawned_ns": time.monotonic_ns(),
    }
    command = [str(case.python), str(HERE / "drivers.py"), case.peer.driver, json.dumps(job)]
    limit_s = 120 + 3 * seconds
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=clean_environment(),
            # In the checkout its packages would hide the installed ones.
            cwd=pcm.parent,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"not done after {limit_s:.0f} s") from error
    if done.returncode:
        raise PeerError(error_line(done.stderr))
    return dict(json.loads(done.stdout))


def _keep(case: Case, measure: str, answer: dict[str, Any], where: str) -> None:
    if measure == "cold":
        for quantity in ("cold_start_s", "cold_start_cpu_s"):
            case.samples[quantity].append(answer[quantity])
        figure = f"{answer['cold_start_s']:.3f} s, of which CPU {answer['cold_start_cpu_s']:.3f} s"
    else:
        cpu = answer["cpu_s"] / answer["audio_s"]
        case.samples[measure].append(cpu)
        case.samples["rss_mb"].append(answer["rss_mb"])
        case.late_chunks += answer.get("late_chunks", 0)
        figure = f"{1000 * cpu:.2f} ms CPU per s of audio"
        if measure == "burst":
            case.last = answer
    print(f"{where}: {measure:<5} {case.label:<26} {figure}", file=sys.stderr)
