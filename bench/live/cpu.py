"""CPU cost of live listening compared with the same audio from a file, measured side by side.

One `kws-listen` gets the recording through a virtual microphone while another one reads the same
file with --realtime; the CPU time of each process over the same stretch is compared. The sound
server's own is not counted.

    PYTHONPATH=tests python bench/live/cpu.py --rounds 5
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import rig
import soundfile
from support.pulse_server import PulseServer

# Time for loading.
WARM_UP_S = 2.0


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has taken, all threads."""
    schedstat = [
        path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
    ]
    return sum(int(nanoseconds) for nanoseconds in schedstat) / 1e9


def one_round(server: PulseServer, audio: Path, arguments: list[str]) -> dict[str, Any]:
    """Return CPU seconds per second of audio of the live one and of the one with a file."""
    seconds = soundfile.info(audio).duration
    live = rig.Listening(server.environment, "--device", "pulse", *arguments)
    live.until(event="listening")
    time.sleep(WARM_UP_S)
    # Ends after the file, which it reads in real time like the device.
    from_file = rig.Listening(server.environment, "--input", str(audio), "--realtime", *arguments)
    from_file.until(event="listening")
    with server.playing(audio):
        time.sleep(WARM_UP_S)
        before = time.monotonic(), cpu_s(live.process.pid), cpu_s(from_file.process.pid)
        time.sleep(seconds - 2 * WARM_UP_S)
        after = time.monotonic(), cpu_s(live.process.pid), cpu_s(from_file.process.pid)
        from_file.process.wait(60)
        time.sleep(1.0)
    wall_s, live_s, file_s = (end - start for start, end in zip(before, after))
    return {
        "live_ms_per_s": 1000 * live_s / wall_s,
        "file_ms_per_s": 1000 * file_s / wall_s,
        "ratio": live_s / file_s,
        "live_detections": live.end()["detections"],
        "file_detections": from_file.of_type("summary")[0]["detections"],
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=rig.DEMO)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--block-ms", default="50")
    arguments = parser.parse_args()
    rounds = []
    with rig.virtual_microphone() as server:
        for _ in range(arguments.rounds):
            # The block length has no effect on a file.
            rounds.append(one_round(server, arguments.audio, ["--block-ms", arguments.block_ms]))
    ratios = [each["ratio"] for each in rounds]
    live, file = (
        float(np.median([each[f"{which}_ms_per_s"] for each in rounds]))
        for which in ("live", "file")
    )
    rig.report(
        {"rounds": rounds, "ratio": float(np.median(ratios)), "live": live, "file": file},
        f"Live listening takes {np.median(ratios):.2f} times the CPU of the same audio from a file "
        f"(rounds {min(ratios):.2f} to {max(ratios):.2f}): {live:.1f} against {file:.1f} ms for a "
        "second of audio",
    )


if __name__ == "__main__":
    main()
