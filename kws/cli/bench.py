"""`kws-bench`: what a model costs on this machine, on real audio."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kws import benchmark, machine
from kws.cli import program
from kws.spotter import KeywordSpotter

EXAMPLES = """\
  kws-bench                              back to back, on the demo recording
  kws-bench --paced --seconds 30         at the pace of speech, as in use
  kws-bench --runtime tflite-runtime --json
  kws-bench --input my_room.wav --hop-ms 50
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_bench, _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    made = program.parser(
        "kws-bench",
        "Measure latency, CPU, memory and cold start of a model on real audio, through the same "
        "code that listens.",
        examples=EXAMPLES,
    )
    program.add_model_arguments(made)
    made.add_argument("--hop-ms", type=int, default=100, metavar="MS")
    made.add_argument(
        "--seconds", type=float, default=60.0, help="audio to run (default: 60)", metavar="S"
    )
    made.add_argument(
        "--input", type=Path, metavar="FILE", help="audio (default: the demo, looped)"
    )
    made.add_argument(
        "--paced", action="store_true", help="at the pace of speech instead of back to back"
    )
    made.add_argument("--threads", type=int, default=1, help="of the interpreter (default: 1)")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return made


def _bench(arguments: argparse.Namespace) -> int:
    options = {
        "name_or_path": arguments.model,
        "mode": arguments.mode,
        "runtime": arguments.runtime,
        "kernels": arguments.kernels,
        "hop_ms": arguments.hop_ms,
        "n_threads": arguments.threads,
    }
    audio = arguments.input or benchmark.DEMO
    # Before the run, which is a load of its own.
    facts = machine.describe()
    spotter = KeywordSpotter.from_model(**options)
    samples = benchmark.looped(audio, arguments.seconds, sample_rate=spotter.sample_rate)
    whole = benchmark.run(spotter, samples, paced=arguments.paced)
    timed = KeywordSpotter.from_model(**options)
    stages = benchmark.run_stages(timed, samples, paced=arguments.paced)
    cold_start_s, rss_mb = benchmark.fresh_process(options, audio)
    opened = spotter.model.opened
    report = {
        "model": spotter.manifest.name,
        "sha256": spotter.manifest.window.sha256[:16],
        "mode": spotter.model.mode,
        "runtime": opened.runtime,
        "runtime_version": opened.runtime_version,
        "kernels": opened.kernels,
        "threads": opened.n_threads,
        "hop_ms": spotter.hop_ms,
        "paced": arguments.paced,
        "audio": audio.name,
        "audio_s": round(whole.audio_s, 1),
        "hops": len(whole.hop_s),
        "warm_up_hops": benchmark.WARM_UP_HOPS,
        "invoke_us": benchmark.percentiles_us(stages.pop("invoke")),
        "hop_us": {
            **benchmark.percentiles_us(whole.hop_s),
            **{name: round(float(part.mean() * 1e6), 1) for name, part in stages.items()},
        },
        "cpu_s_per_audio_s": round(whole.cpu_s / whole.audio_s, 5),
        "rss_mb": rss_mb,
        "cold_start_s": cold_start_s,
        "machine": facts,
        "doubts": _doubts(facts, opened.kernels, opened.n_threads),
    }
    if arguments.json:
        program.print_json(report)
    else:
        _print(report)
    return 0


def _doubts(facts: dict[str, Any], kernels: str, n_threads: int) -> list[str]:
    """Return what makes these figures worth less."""
    doubts = []
    if kernels == "reference":
        doubts.append("reference kernels: made for equality, not for speed")
    if n_threads > (facts["usable_cores"] or n_threads):
        doubts.append(f"{n_threads} threads on {facts['usable_cores']} cores")
    if facts["load_1min"] and facts["load_1min"] > 0.5 * (facts["cores"] or 1):
        doubts.append(f"busy machine: load {facts['load_1min']} on {facts['cores']} cores")
    if facts["governor"] not in (None, "performance"):
        doubts.append(f"CPU governor {facts['governor']}: the clock may vary")
    return doubts


def _print(report: dict[str, Any]) -> None:
    pace = "at the pace of speech" if report["paced"] else "back to back"
    print(
        f"{report['model']} ({report['mode']} form, {report['runtime']} "
        f"{report['runtime_version']}, {report['kernels']} kernels, {report['threads']} thread)"
    )
    print(
        f"{report['audio_s']} s of {report['audio']} {pace}, a hop every {report['hop_ms']} ms, "
        f"{report['hops']} hops after {report['warm_up_hops']} of warm-up"
    )
    print(f"{'microseconds':<24}{'mean':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
    for name, key in (("whole hop", "hop_us"), ("invoke alone", "invoke_us")):
        row = report[key]
        figures = "".join(f"{row[part]:>9.1f}" for part in ("mean", "p50", "p95", "p99", "max"))
        print(f"{name:<24}{figures}")
    hop = report["hop_us"]
    print(
        f"{'of a hop, mean':<24}front end {hop['front_end']}, model {hop['model']}, "
        f"smoothing and decision {hop['decision']}"
    )
    print(f"{'CPU per second of audio':<24}{1000 * report['cpu_s_per_audio_s']:.2f} ms")
    print(f"{'cold start':<24}{report['cold_start_s']:.3f} s to the first posterior")
    print(f"{'peak memory':<24}{report['rss_mb']:.1f} MB")
    facts = report["machine"]
    print(
        f"{'machine':<24}{facts['board'] or facts['cpu']}, {facts['architecture']}, "
        f"{facts['usable_cores']} cores, governor {facts['governor'] or 'unknown'}, "
        f"Python {facts['python']}, numpy {facts['numpy']}"
    )
    for doubt in report["doubts"]:
        print(f"{'doubtful':<24}{doubt}")


if __name__ == "__main__":
    sys.exit(main())
