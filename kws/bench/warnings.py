"""Conditions that make the figures of a measurement less reliable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kws.bench.host import EXTRA_HINT, X86

# From where on each begins to show in the figures of a hop; chosen, not measured.
FEW_HOPS = 100
WIDE_SPREAD = 0.10
HOT_C = 80.0
BUSY_LOAD_SHARE = 0.5
BUSY_OTHERS_CORES = 0.25
STEAL_SHARE = 0.01
SWITCHES_PER_S = 50.0
SLOW_CLOCK_SHARE = 0.9
LATE_HOPS_SHARE = 0.01


def of_model(facts: Mapping[str, Any], machine: Mapping[str, Any]) -> list[str]:
    """Return warnings about how a model with these `ModelUnderTest.facts` was run."""
    n_threads, n_cores = facts["threads"], machine["usable_cores"]
    return _those(
        (facts["kernels"] == "reference", "reference kernels: made for equality, not for speed"),
        (n_threads > n_cores, f"{n_threads} threads on {n_cores} usable cores"),
        (
            facts["runtime"] == "tflite-runtime" and machine["architecture"] in X86,
            "tflite-runtime has no fast int8 kernels on x86_64: this says nothing about ARM",
        ),
    )


def of_figures(report: Mapping[str, Any]) -> list[str]:
    """Return warnings about figures and lateness of one model (`kws.bench.model_under_test`)."""
    parts, hop, n_hops = report["p50_by_part_us"], report["hop_us"], report["hops"]
    late = report.get("late_hops", 0)
    return _those(
        (n_hops < FEW_HOPS, f"only {n_hops} hops: p99 and max rest on a few; raise --seconds"),
        (
            (max(parts) - min(parts)) / hop["p50"] > WIDE_SPREAD,
            f"wide spread: the p50 of parts of the run ranges from {min(parts)} to {max(parts)} us",
        ),
        (
            hop["p99"] > 1000 * report["hop_ms"],
            "slower than real time: one hop in a hundred takes longer than its audio",
        ),
        (
            late > LATE_HOPS_SHARE * n_hops,
            f"fell behind: {late} of {n_hops} hops began late, at most by "
            f"{report.get('latest_ms')} ms",
        ),
    )


def of_pair(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return warnings about comparing two models with these ``hop_ms``."""
    text = (
        f"hops of {a['hop_ms']:g} ms (A) and {b['hop_ms']:g} ms (B): compare the CPU per "
        "second of audio, not whole hop and invoke (--hop-ms sets both)"
    )
    return _those((a["hop_ms"] != b["hop_ms"], text))


def of_machine(machine: Mapping[str, Any], *, paced: bool) -> list[str]:
    """Return warnings about the machine and what else it did.

    Parameters
    ----------
    machine : mapping
        From `kws.bench.host.describe`, with ``before`` and ``after`` (`kws.bench.host.snapshot`)
        and ``during`` (`kws.bench.host.Activity`).
    paced : bool
        In real time a low clock is normal.
    """
    highest, limit = machine["max_mhz"] or 0, machine["limit_mhz"] or 0
    now_mhz = machine["after"]["mhz"] or highest
    during, load = machine["during"], machine["before"]["load_1min"] or 0.0
    others, steal = during["others_cores"] or 0.0, during["steal"] or 0.0
    switches = during["involuntary_switches_per_s"] or 0.0
    hottest = max(machine[when]["temperature_c"] or 0.0 for when in ("before", "after"))
    n_cores = machine["cores"] or 1
    return _those(
        (machine["emulated"], "emulated by QEMU: no time here means anything"),
        (
            machine["virtual"] and not machine["emulated"],
            "virtual machine: its cores may be shared; trust ratios within a run",
        ),
        (
            machine["mixed_cores"] and machine["usable_cores"] > 1,
            f"cores of several kinds ({machine['cpu']}): pin the run with taskset -c",
        ),
        (not machine["extra_installed"], EXTRA_HINT),
        *((True, text) for text in _throttled(machine["before"], machine["after"])),
        (hottest >= HOT_C, f"hot: {hottest} °C, about where boards begin to throttle"),
        (
            machine["governor"] not in (None, "performance"),
            f"CPU governor {machine['governor']}: the clock may vary",
        ),
        (0 < limit < highest, f"clock limited to {limit} of {highest} MHz"),
        (
            not paced and now_mhz < SLOW_CLOCK_SHARE * highest,
            f"clock at {now_mhz} of {highest} MHz at the end of the run",
        ),
        (
            load > BUSY_LOAD_SHARE * n_cores,
            f"busy machine: load {load} on {n_cores} cores before the run",
        ),
        (
            others > BUSY_OTHERS_CORES,
            f"busy machine: other processes used {others} cores during the run",
        ),
        (steal > STEAL_SHARE, f"the hypervisor gave {steal:.1%} of the time to other guests"),
        (switches > SWITCHES_PER_S, f"preempted {switches:.0f} times per second of CPU time"),
    )


def _throttled(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    now = {*(before["throttling"] or ()), *(after["throttling"] or ())}
    past_before = set(before["throttling_since_boot"] or ())
    past = set(after["throttling_since_boot"] or ()) - now
    found = [f"throttled during the run: {flag}" for flag in sorted(now | past - past_before)]
    return found + [
        f"{flag} at some time since boot: check power supply and cooling"
        for flag in sorted(past & past_before)
    ]


def _those(*conditions: tuple[Any, str]) -> list[str]:
    """Return the texts whose condition holds."""
    return [text for holds, text in conditions if holds]
