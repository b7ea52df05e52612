"""Read PCM, hand it to a peer back to back or paced, and measure; the same for every peer.

Few imports, all of the standard library: they count in each peer's cold start.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

BYTES_PER_MS = 32  # 16 kHz, 16 bit, mono


def main(peer_class: type, job_text: str) -> None:
    """Do a job, given as JSON, with a class of `drivers.py`; print the cost as one JSON line."""
    # A peer may print: stdout is for the result only.
    result_stream, sys.stdout = sys.stdout, sys.stderr
    job = json.loads(job_text)
    pcm = Path(job["pcm"]).read_bytes()
    peer = peer_class(job["options"])
    measure = _cold_start if job["measure"] == "cold" else _run
    result = measure(peer, pcm, job)
    result["peak_rss_mb"] = 1024 * _status("VmHWM") / 2**20
    # No real use holds the whole audio in memory.
    result["rss_mb"] = result["peak_rss_mb"] - len(pcm) / 2**20
    result["threads"] = _status("Threads")
    result["python"] = sys.version.split()[0]
    result["versions"] = _versions(peer_class.packages)
    print(json.dumps(result), file=result_stream)


def _cold_start(peer, pcm: bytes, job: dict) -> dict:
    """Feed until the first inference is done; time runs from when the parent spawned us."""
    step = job["chunk_ms"] * BYTES_PER_MS
    for start in range(0, len(pcm) - step + 1, step):
        peer.feed(pcm[start : start + step])
        if peer.n_inferences:
            # CLOCK_MONOTONIC is one clock for all processes.
            cold_start_s = (time.monotonic_ns() - job["spawned_ns"]) / 1e9
            # Other processes affect the wall time, but hardly the CPU time.
            return {"cold_start_s": cold_start_s, "cold_start_cpu_s": time.process_time()}
    raise SystemExit(f"no inference in {len(pcm) / BYTES_PER_MS / 1000:.1f} s of audio")


def _run(peer, pcm: bytes, job: dict) -> dict:
    """Feed the warm-up back to back, then measure the rest, back to back or paced."""
    step = job["chunk_ms"] * BYTES_PER_MS
    warm_up_chunks = round(1000 * job["warm_up_s"] / job["chunk_ms"])
    n_chunks = round(1000 * job["seconds"] / job["chunk_ms"])
    for index in range(warm_up_chunks):
        peer.feed(pcm[index * step : (index + 1) * step])
    # A view: a second copy of the audio would count as the peer's memory.
    pcm = memoryview(pcm)[warm_up_chunks * step : (warm_up_chunks + n_chunks) * step]
    inferences, detections = peer.n_inferences, peer.n_detections
    # Garbage of the start-up does not count as cost of the run.
    gc.collect()
    measure = _paced if job["measure"] == "paced" else _back_to_back
    result = measure(peer.feed, pcm, step)
    result["audio_s"] = len(pcm) / BYTES_PER_MS / 1000
    result["chunk_ms"] = job["chunk_ms"]
    result["inferences"] = peer.n_inferences - inferences
    result["detections"] = peer.n_detections - detections
    if result["inferences"] == 0:
        raise SystemExit("no inference in the measured part: nothing was measured")
    return result


def _back_to_back(feed, pcm: memoryview, step: int) -> dict:
    began = time.process_time_ns()
    for start in range(0, len(pcm), step):
        feed(bytes(pcm[start : start + step]))
    # User and system time of all threads of this process.
    return {"cpu_s": (time.process_time_ns() - began) / 1e9}


def _paced(feed, pcm: memoryview, step: int) -> dict:
    """Hand over each chunk when its last sample would have been recorded."""
    chunk_s = step / BYTES_PER_MS / 1000
    late = 0
    due = time.monotonic()
    began = time.process_time_ns()
    for start in range(0, len(pcm), step):
        due += chunk_s
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        else:
            late += 1
        feed(bytes(pcm[start : start + step]))
    return {"cpu_s": (time.process_time_ns() - began) / 1e9, "late_chunks": late}


def _status(key: str) -> int:
    """Return a number from /proc/self/status; memory is in KiB, since exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/self/status: expected a line {key}, found none")


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
