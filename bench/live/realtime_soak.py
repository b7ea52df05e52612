"""Twenty minutes of live listening on the virtual microphone, in real time.

The recording is played over and over, as one file, to `kws-listen`; every ten seconds its memory,
threads and open files are read. Afterwards the same file is read as a file, and the words compared.

    PYTHONPATH=tests python bench/live/realtime_soak.py --minutes 20
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rig
import soundfile
from support.pulse_server import PulseServer

EVERY_S = 10.0
# Time for loading, first windows, and allocators.
WARM_UP_S = 120.0


class Reading(NamedTuple):
    """Resources of the process."""

    at_s: float
    rss_kb: int
    n_threads: int
    n_files: int


def read(pid: int, began: float) -> Reading:
    """Read the resources of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Reading(
        round(time.monotonic() - began, 1),
        int(status["VmRSS"].split()[0]),
        int(status["Threads"]),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def listen(
    audio: Path, server: PulseServer, arguments: list[str]
) -> tuple[rig.Listening, list[Reading]]:
    """Play a file to `kws-listen`; return it and the readings."""
    listening = rig.Listening(server.environment, "--device", "pulse", *arguments)
    listening.until(event="listening")
    began = time.monotonic()
    readings = []
    with server.playing(audio) as player:
        while True:
            readings.append(read(listening.process.pid, began))
            try:
                player.wait(EVERY_S)
                break
            except subprocess.TimeoutExpired:
                continue
    time.sleep(2.0)
    return listening, readings


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=rig.DEMO)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--log", type=Path, help="for all readings, as JSON lines")
    arguments = parser.parse_args()
    samples, rate = soundfile.read(arguments.audio, dtype="int16")
    times = math.ceil(arguments.minutes * 60 * rate / len(samples))
    with tempfile.TemporaryDirectory() as folder, rig.virtual_microphone() as server:
        looped = Path(folder) / "looped.wav"
        soundfile.write(looped, np.tile(samples, times), rate)
        listening, readings = listen(looped, server, ["--status-every", "60"])
        summary = listening.end()
        offline = [*rig.LISTEN, "--json", "--input", str(looped)]
        printed = subprocess.run(offline, check=True, capture_output=True, text=True).stdout
    if arguments.log:
        arguments.log.write_text("".join(json.dumps(r._asdict()) + "\n" for r in readings))
    expected = [r["keyword"] for r in map(json.loads, printed.splitlines()) if "keyword" in r]
    detected = [record["keyword"] for record in listening.of_type("detection")]
    same = difflib.SequenceMatcher(a=expected, b=detected, autojunk=False).get_matching_blocks()
    later = [reading for reading in readings if reading.at_s >= WARM_UP_S] or readings
    growth_kb = later[-1].rss_kb - later[0].rss_kb
    most_kb = max(reading.rss_kb for reading in later) - later[0].rss_kb
    n_same = sum(block.size for block in same)
    figures = {
        "summary": summary,
        "expected": len(expected),
        "detected": len(detected),
        "in_both": n_same,
        "rss_kb": [later[0].rss_kb, later[-1].rss_kb],
        "rss_growth_kb": growth_kb,
        "rss_most_above_kb": most_kb,
        "threads": sorted({reading.n_threads for reading in later}),
        "files": sorted({reading.n_files for reading in later}),
        "events": [r for r in listening.of_type("status") if r["event"] != "running"],
    }
    rig.report(
        figures,
        f"{summary['audio_s'] / 60:.1f} minutes live: {summary['lost_samples']} samples lost, "
        f"{summary['overflows']} overflows, memory {growth_kb:+d} kB after {WARM_UP_S:.0f} s of "
        f"warm-up (at most {most_kb:+d} kB), {len(detected)} words detected where the file gives "
        f"{len(expected)}, {n_same} of them the same in order",
    )


if __name__ == "__main__":
    main()
