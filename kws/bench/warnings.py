"""Conditions that make the figures of a measurement less reliable."""

from __future__ import annotations

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
SPLIT_DIFFERENCE = 0.15


def of_model(facts: dict[str, Any], machine: dict[str, Any]) -> list[str]:
    """Return warnings about how the model was run.

    Parameters
    ----------
    facts : dict
        ``kernels``, ``threads`` and ``runtime`` (`ModelUnderTest.facts`).
    machine : dict
        From `kws.bench.host.describe`.
    """
    n_threads, n_cores = facts["threads"], machine["usable_cores"]
    on_x86 = facts["runtime"] == "tflite-runtime" and machine["architecture"] in X86
    return _those(
        (facts["kernels"] == "reference", "reference kernels: made for equality, not for speed"),
        (
            n_threads > n_cores,
            f"{n_threads} threads on {n_cores} usable cores",
        ),
        (
            on_x86,
            "tflite-runtime has no fast int8 kernels on x86_64: this says nothing about ARM",
        ),
    )


def of_figures(report: dict[str, Any], *, n_hops: int, paced: bool) -> list[str]:
    """Return warnings about the figures themselves.

    Parameters
    ----------
    report : dict
        ``hop_ms``, ``hop_us``, ``split_run``, ``p50_by_part_us``; if paced also ``late_hops`` and
        ``latest_ms``.
    n_hops : int
        Hops measured.
    paced : bool
        Whether hops came in real time.
    """
    parts, hop = report["p50_by_part_us"], report["hop_us"]
    difference = report["split_run"]["hop_us"] / hop["mean"] - 1
    return _those(
        (n_hops < FEW_HOPS, f"only {n_hops} hops: p99 and max rest on a few; raise --seconds"),
        (
            (max(parts) - min(parts)) / hop["p50"] > WIDE_SPREAD,
            f"wide spread: the p50 of parts of the run ranges from {min(parts)} to {max(parts)} us",
        ),
        (
            abs(difference) > SPLIT_DIFFERENCE,
            f"a hop of the run with timers took {difference:+.0%} against the plain run: trust the "
            "shares of the parts, not their times",
        ),
        (
            hop["p99"] > 1000 * report["hop_ms"],
            "slower than real time: one hop in a hundred takes longer than its audio",
        ),
        (
            paced and report.get("late_hops", 0) > LATE_HOPS_SHARE * n_hops,
            f"fell behind: {report.get('late_hops')} of {n_hops} hops began late, at most by "
            f"{report.get('latest_ms')} ms",
        ),
    )


def of_pair(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return warnings about comparing two models with these ``hop_ms``."""
    return _those(
        (
            a["hop_ms"] != b["hop_ms"],
            f"hops of {a['hop_ms']:g} ms (A) and {b['hop_ms']:g} ms (B): compare the CPU per "
            "second of audio, not whole hop and invoke (--hop-ms sets both)",
        )
    )


def of_machine(machine: dict[str, Any], *, paced: bool) -> list[str]:
    """Return warnings about the machine and what else it did.

    Parameters
    ----------
    machine : dict
        From `kws.bench.host.describe`, with ``before`` and ``after`` (`kws.bench.host.snapshot`)
        and ``during`` (`kws.bench.host.between`).
    paced : bool
        In real time a low clock is normal.
    """
    n_cores = machine["usable_cores"]
    return [
        *_those(
            (machine["emulated"], "emulated by QEMU: no time here means anything"),
            (
                machine["virtual"] and not machine["emulated"],
                "virtual machine: its cores may be shared; trust ratios within a run",
            ),
            (
                machine["mixed_cores"] and n_cores > 1,
                f"cores of several kinds ({machine['cpu']}): pin the run with taskset -c",
            ),
            (not machine["extra_installed"], EXTRA_HINT),
        ),
        *_throttled(machine["before"], machine["after"]),
        *_clock(machine, paced=paced),
        *_other_load(machine),
    ]


def _throttled(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    now = {*(before["throttling"] or ()), *(after["throttling"] or ())}
    past_before = set(before["throttling_since_boot"] or ())
    past = set(after["throttling_since_boot"] or ()) - now
    found = [f"throttled during the run: {flag}" for flag in sorted(now | past - past_before)]
    found += [
        f"{flag} at some time since boot: check power supply and cooling"
        for flag in sorted(past & past_before)
    ]
    temperatures = [state["temperature_c"] or 0.0 for state in (before, after)]
    if max(temperatures) >= HOT_C:
        found.append(f"hot: {max(temperatures)} °C, about where boards begin to throttle")
    return found


def _clock(machine: dict[str, Any], *, paced: bool) -> list[str]:
    highest, limit, now = machine["max_mhz"], machine["limit_mhz"], machine["after"]["mhz"]
    return _those(
        (
            machine["governor"] not in (None, "performance"),
            f"CPU governor {machine['governor']}: the clock may vary",
        ),
        (
            bool(highest and limit) and limit < highest,
            f"clock limited to {limit} of {highest} MHz",
        ),
        (
            bool(highest and now) and not paced and now < SLOW_CLOCK_SHARE * highest,
            f"clock at {now} of {highest} MHz at the end of the run",
        ),
    )


def _other_load(machine: dict[str, Any]) -> list[str]:
    during, load = machine["during"], machine["before"]["load_1min"] or 0.0
    others, steal = during["others_cores"] or 0.0, during["steal"] or 0.0
    switches = during["involuntary_switches_per_s"] or 0.0
    return _those(
        (
            load > BUSY_LOAD_SHARE * (machine["cores"] or 1),
            f"busy machine: load {load} on {machine['cores']} cores before the run",
        ),
        (
            others > BUSY_OTHERS_CORES,
            f"busy machine: other processes used {others} cores during the run",
        ),
        (steal > STEAL_SHARE, f"the hypervisor gave {steal:.1%} of the time to other guests"),
        (switches > SWITCHES_PER_S, f"preempted {switches:.0f} times per second of CPU time"),
    )


def _those(*conditions: tuple[Any, str]) -> list[str]:
    """Return the texts whose condition holds."""
    return [text for holds, text in conditions if holds]
