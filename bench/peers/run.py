"""Measure kws and other engines on one core, in one run, on the same audio.

Each peer is installed with pip into an environment of its own and fed the same PCM by the same
code. See --help.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from environments import CHECKOUT, Environments, PeerError
from peers import BY_NAME, CHUNK_MS, PEERS, REFERENCES
from report import markdown, summarise
from turns import WARM_UP_S, AudioError, Case, looped, measure_in_turns, prepare

DEMO = CHECKOUT / "firmware_models" / "demo.wav"

EXAMPLES = """\
examples:
  python bench/peers/run.py                             all peers, about 15 minutes
  python bench/peers/run.py --skip-paced --rounds 1     a quick look, about a minute
  python bench/peers/run.py --only kws-stream,pymicro-wakeword --rounds 7 --json
  python bench/peers/run.py --audio talk.wav --out reports/peers
  python bench/peers/run.py --only kws-stream,kws-stream-tflite

peers: """ + ", ".join(peer.name + ("" if peer.by_default else " (on request)") for peer in PEERS)


class ComparisonError(Exception):
    """The comparison is not possible; the message is the reason, in one line."""


def main() -> int:
    """Measure and print; return the exit code."""
    arguments = _parser().parse_args()
    try:
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
        report = _compare(arguments)
        text = markdown(report)
        if arguments.out is not None:
            (arguments.out / "peers.md").write_text(text)
            (arguments.out / "peers.json").write_text(json.dumps(report, indent=2) + "\n")
            print(f"wrote peers.md and peers.json to {arguments.out}", file=sys.stderr)
    except (ComparisonError, AudioError, PeerError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report) if arguments.json else text.rstrip("\n"))
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description="Measure CPU, memory and cold start of kws beside its peers: one run, one "
        "core, one thread, the same audio, each peer installed with pip on its own.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kws-peers"
    add("--only", type=_names, metavar="NAMES", help="peers to measure, separated by commas")
    add("--model", metavar="NAME|PATH", help="the model of kws (default: default)")
    add("--audio", type=Path, default=DEMO, metavar="FILE", help="16 kHz mono 16-bit WAV, looped")
    add("--seconds", type=_positive, default=60, metavar="S", help="back to back (default: 60)")
    add("--paced-seconds", type=_positive, default=20, metavar="S", help="paced (default: 20)")
    add("--skip-paced", action="store_true", help="back to back only: much quicker")
    add("--rounds", type=_positive_int, default=3, metavar="N", help="in turn (default: 3)")
    add("--core", type=int, metavar="N", help="pin to this core (default: the last usable)")
    add("--python", metavar="EXE", help="for all environments (default: python3.11 if there)")
    add("--cache", type=Path, default=cache, metavar="DIR", help=f"environments (default: {cache})")
    add("--out", type=Path, metavar="DIR", help="write peers.md and peers.json there")
    add("--json", action="store_true", help="one JSON object on stdout instead of the table")
    return made


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BY_NAME]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(BY_NAME)}, got {text!r}")
    return list(dict.fromkeys(names))


def _positive(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 3_600:
        raise argparse.ArgumentTypeError(f"expected 1 to 3600 seconds, got {text}")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000:
        raise argparse.ArgumentTypeError(f"expected 1 to 1000, got {text}")
    return value


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/status").exists():
        raise ComparisonError("this needs Linux: it pins to a core and reads /proc")
    usable = os.sched_getaffinity(0)
    core = max(usable) if arguments.core is None else arguments.core
    if core not in usable:
        raise ComparisonError(f"--core: expected one of {sorted(usable)}, got {core}")
    pcm = looped(arguments.audio, max(arguments.seconds, arguments.paced_seconds) + WARM_UP_S)
    python = arguments.python or shutil.which("python3.11") or sys.executable
    environments = Environments(arguments.cache, python)
    names = arguments.only or [peer.name for peer in PEERS if peer.by_default]
    skipped: dict[str, str] = {}
    cases = list(prepare(names, environments, arguments.model, skipped))
    machine = _machine(core)
    # Inherited by all processes started from here on.
    os.sched_setaffinity(0, {core})
    seconds = {"burst": arguments.seconds}
    if not arguments.skip_paced:
        seconds["paced"] = arguments.paced_seconds
    cases = measure_in_turns(cases, pcm, seconds, arguments.rounds, skipped)
    if not cases:
        reasons = "; ".join(f"{name} {reason}" for name, reason in skipped.items())
        raise ComparisonError(f"nothing was measured: {reasons}")
    return _report(cases, skipped, machine, environments.python_version, arguments)


def _report(
    cases: list[Case],
    skipped: dict[str, str],
    machine: dict[str, Any],
    python: str,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    by_name = {case.peer.name: case for case in reversed(cases)}
    reference = next((name for name in REFERENCES if name in by_name), None)
    of_reference = by_name[reference].samples if reference else {}
    paced_s = 0 if arguments.skip_paced else arguments.paced_seconds
    return {
        "command": shlex.join(["python", "bench/peers/run.py", *sys.argv[1:]]),
        "reference": reference or "kws",
        "rows": [_row(case, of_reference) for case in cases],
        "skipped": skipped,
        "audio": arguments.audio.name + ", looped",
        "seconds": arguments.seconds,
        "paced_seconds": paced_s,
        "warm_up_s": WARM_UP_S,
        "rounds": arguments.rounds,
        "python": python,
        "machine": machine,
        "warnings": _warnings(cases, machine, reference),
    }


def _row(case: Case, of_reference: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "peer": case.peer.name,
        "does": case.peer.does,
        "wake_word": case.options.get("wake_word"),
        "chunk_ms": case.chunk_ms,
        **summarise(case.samples, of_reference),
        "inferences_per_s": round(case.last["inferences"] / case.last["audio_s"], 1),
        "detections": case.last["detections"],
        "late_chunks": case.late_chunks,
        "threads": case.last["threads"],
        "versions": case.last["versions"],
    }


def _warnings(cases: list[Case], machine: dict[str, Any], reference: str | None) -> list[str]:
    warnings = []
    if machine["load_1min"] > 0.25 * machine["cores"]:
        warnings.append(f"busy machine: load {machine['load_1min']} before the first measurement")
    if reference != REFERENCES[0]:
        warnings.append(f"no {REFERENCES[0]}: ratios are to {reference or 'nothing'}")
    for case in cases:
        if case.last["threads"] > 1 and case.chunk_ms == CHUNK_MS:
            warnings.append(
                f"{case.peer.name} has {case.last['threads']} threads and no option to "
                "limit them; their CPU is counted"
            )
        if case.late_chunks:
            warnings.append(f"{case.label} did not keep pace {case.late_chunks} times")
    return warnings


def _machine(core: int) -> dict[str, Any]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "Model"))
    ]
    return {
        "cpu": names[0] if names else platform.processor() or "unknown CPU",
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "core": core,
        "system": f"{platform.system()} {platform.release()}",
        "load_1min": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
