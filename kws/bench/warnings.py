"""What makes the figures of a measurement worth less, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kws.bench.host import X86

# Judgements, not measurements: where each begins to show in the figures of a hop.
FEW_HOPS = 100
WIDE_SPREAD = 0.10
HOT_C = 80.0
BUSY_LOAD_SHARE = 0.5
BUSY_OTHERS_CORES = 0.25
STEAL_SHARE = 0.01
SWITCHES_PER_S = 50.0
SLOW_CLOCK_SHARE = 0.9
LATE_HOPS_SHARE = 0.01
SPLIT_APART = 0.15


def of_subject(facts: dict[str, Any], machine: dict[str, Any]) -> list[str]:
    """Return doubts about how the model was run.

    Parameters
    ----------
    facts : dict
        ``kernels``, ``threads``, ``runtime`` as `bench_subject.Subject.facts` gives them.
    machine : dict
        As `kws.bench.host.describe` gives it.
    """
    doubts = []
    if facts["kernels"] == "reference":
        doubts.append("reference kernels: made for equality, not for speed")
    if facts["threads"] > machine["usable_cores"]:
        doubts.append(
            f"{facts['threads']} threads on {machine['usable_cores']} usable cores: they wait "
            "for each other"
        )
    if facts["runtime"] == "tflite-runtime" and machine["architecture"] in X86:
        doubts.append(
            "tflite-runtime on x86_64: it has no fast int8 kernels there, so this says nothing "
            "about ARM"
        )
    return doubts


def of_machine(machine: dict[str, Any], *, paced: bool) -> list[str]:
    """Return doubts about the machine and what else it did.

    Parameters
    ----------
    machine : dict
        As `kws.bench.host.describe` gives it, with ``before`` and ``after``
        (`kws.bench.host_state.snapshot`) and ``during`` (`kws.bench.host_state.between`).
    paced : bool
        At the pace of speech a low clock is no fault: so it is in use.
    """
    return [
        *_kind(machine),
        *_slowed(machine["before"], machine["after"]),
        *_clock(machine, paced=paced),
        *_neighbours(machine),
    ]


def of_figures(report: dict[str, Any], *, n_hops: int, paced: bool) -> list[str]:
    """Return doubts that the figures themselves raise.

    Parameters
    ----------
    report : dict
        ``hop_ms``, ``hop_us``, ``split_run``, ``p50_by_part_us``; paced also ``late_hops`` and
        ``latest_ms``.
    n_hops : int
        Hops measured.
    paced : bool
        Whether hops came at the pace of speech.
    """
    doubts = []
    if n_hops < FEW_HOPS:
        doubts.append(f"only {n_hops} hops: p99 and max rest on a few; raise --seconds")
    parts = report["p50_by_part_us"]
    spread = (max(parts) - min(parts)) / report["hop_us"]["p50"]
    if spread > WIDE_SPREAD:
        doubts.append(
            f"wide spread: the p50 of parts of the run lies from {min(parts)} to {max(parts)} us"
        )
    apart = report["split_run"]["hop_us"] / report["hop_us"]["mean"] - 1
    if abs(apart) > SPLIT_APART:
        doubts.append(
            f"the run that was split took {apart:+.0%} a hop against the plain one: trust the "
            "shares rather than the times of the parts"
        )
    if report["hop_us"]["p99"] > 1000 * report["hop_ms"]:
        doubts.append("slower than speech: one hop in a hundred takes longer than a hop lasts")
    if paced and report["late_hops"] > LATE_HOPS_SHARE * n_hops:
        doubts.append(
            f"fell behind: {report['late_hops']} of {n_hops} hops began late, the latest by "
            f"{report['latest_ms']} ms"
        )
    return doubts


def of_pair(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return doubts about setting two subjects side by side.

    Parameters
    ----------
    a, b : dict
        With ``hop_ms``.
    """
    if a["hop_ms"] == b["hop_ms"]:
        return []
    return [
        f"hops of {a['hop_ms']:g} ms (A) and {b['hop_ms']:g} ms (B): go by the CPU per second of "
        "audio; whole hop and invoke are of hops of different length (--hop-ms sets both)"
    ]


def unique(doubts: Sequence[str]) -> list[str]:
    """Return each doubt once, in order."""
    return list(dict.fromkeys(doubts))


def _kind(machine: dict[str, Any]) -> list[str]:
    doubts = []
    if machine["emulated"]:
        doubts.append("emulated: QEMU translates each instruction, so no time here means anything")
    elif machine["virtual"]:
        doubts.append(
            "virtual machine: its cores may be shared with others; trust ratios within a run"
        )
    if machine["mixed_cores"] and machine["usable_cores"] > 1:
        doubts.append(f"cores of several kinds ({machine['cpu']}): pin the run with taskset -c")
    return doubts


def _slowed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return doubts about power and heat."""
    doubts = []
    now = [*(before["throttling"] or []), *(after["throttling"] or [])]
    if now:
        doubts.append(f"slowed down during the run: {', '.join(unique(now))}")
    past_before = before["throttling_since_boot"] or []
    for flag in after["throttling_since_boot"] or []:
        if flag not in past_before and flag not in now:
            doubts.append(f"slowed down during the run: {flag}")
        elif flag not in now:
            doubts.append(f"{flag} at some time since boot: mind power supply and cooling")
    counts = (before["throttle_count"], after["throttle_count"])
    if None not in counts and counts[1] > counts[0]:
        doubts.append("slowed down by heat during the run, says the CPU's own counter")
    temperatures = [state["temperature_c"] for state in (before, after)]
    hottest = max((value for value in temperatures if value is not None), default=None)
    if hottest is not None and hottest >= HOT_C:
        doubts.append(f"hot: {hottest} °C, about where boards begin to slow down")
    return doubts


def _clock(machine: dict[str, Any], *, paced: bool) -> list[str]:
    doubts = []
    if machine["governor"] not in (None, "performance"):
        doubts.append(f"CPU governor {machine['governor']}: the clock may vary")
    highest, limit, now = machine["max_mhz"], machine["limit_mhz"], machine["after"]["mhz"]
    if highest and limit and limit < highest:
        doubts.append(f"clock limited to {limit} of {highest} MHz")
    if highest and now and now < SLOW_CLOCK_SHARE * highest and not paced:
        doubts.append(f"clock at {now} of {highest} MHz at the end of the run")
    return doubts


def _neighbours(machine: dict[str, Any]) -> list[str]:
    doubts = []
    during = machine["during"]
    load = machine["before"]["load_1min"]
    if load is not None and load > BUSY_LOAD_SHARE * (machine["cores"] or 1):
        doubts.append(f"busy machine: load {load} on {machine['cores']} cores before the run")
    if (during["others_cores"] or 0) > BUSY_OTHERS_CORES:
        doubts.append(
            f"busy machine: other processes used {during['others_cores']} cores during the run"
        )
    if (during["steal"] or 0) > STEAL_SHARE:
        doubts.append(f"the hypervisor gave {during['steal']:.1%} of the time to other guests")
    if (during["involuntary_switches_per_s"] or 0) > SWITCHES_PER_S:
        doubts.append(
            f"put aside {during['involuntary_switches_per_s']:.0f} times a second of CPU time"
        )
    return doubts
