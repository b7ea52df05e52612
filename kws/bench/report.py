"""The report of a measurement: lines for a terminal, a Markdown page, a folder to send in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kws.errors import KwsError
from kws.files import write_atomically

COLUMNS = ("mean", "p50", "p95", "p99", "max")
PART_NAMES = {
    "front_end": "front end",
    "model": "model",
    "decision": "smoothing and decision",
    "overhead": "overhead",
}
RATIO_NAMES = {
    "cpu_s_per_audio_s": "CPU per second of audio",
    "hop_us_p50": "whole hop, p50",
    "invoke_us_p50": "invoke, p50",
    "rss_mb": "peak memory",
    "cold_start_s": "cold start",
}
SPANS = (("q1", "q3"), ("min", "max"))
FILES = ("bench.json", "report.md")
BAR_CHARACTERS = 40
PAGE = """\
# kws-bench: {title}

{date}, kws {kws}, made by

```sh
{command}
```

```text
{figures}
```

## Histogram

```text
{histogram}
```

## Warnings

{bullets}

## Machine

| | |
|---|---|
{table}

All figures: bench.json.
"""


def lines(report: Mapping[str, Any]) -> list[str]:
    """Return the report of one model, or of two, as lines for a terminal."""
    body = _compared(report) if "ratios" in report else _single(report)
    warnings = [_row("warning", text) for text in report["warnings"]]
    return [*body, *_machine(report["machine"]), *warnings]


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as a page that can be attached to an issue."""
    pace = "in real time" if report["paced"] else "back to back"
    if "ratios" in report:
        title = f"{report['a']['label']} against {report['b']['label']}, {pace}"
    else:
        title = f"{report['model']} ({report['mode']} form, {report['runtime']}), {pace}"
    machine = (
        f"| {name} | {json.dumps(value, ensure_ascii=False)} |"
        for name, value in report["machine"].items()
    )
    return PAGE.format(
        title=title,
        figures="\n".join(lines({**report, "warnings": []})),
        histogram="\n".join(histogram_lines(report["histogram_us"])),
        bullets="\n".join(f"- {text}" for text in report["warnings"]) or "None.",
        table="\n".join(machine),
        **{name: report[name] for name in ("date", "kws", "command")},
    )


def prepare(folder: Path) -> None:
    """Create the folder of a report, before anything is measured.

    Raises
    ------
    KwsError
        If it cannot be written.
    """
    probe = folder / f".kws-bench.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise KwsError(
            f"--out {folder}: expected a folder that can be written, {error.strerror}; "
            "name another one"
        ) from error


def histogram_lines(table: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a histogram as text: for each series a line per bin."""
    edges = table["edges"]
    lines = []
    for name, counts in table.items():
        if name == "edges":
            continue
        used = [index for index, count in enumerate(counts) if count]
        lines.append(f"{name}, microseconds: hops")
        for index in range(used[0], used[-1] + 1):
            bar = "#" * round(BAR_CHARACTERS * counts[index] / max(counts))
            span = f"{edges[index]:>9.1f} to {edges[index + 1]:>9.1f}"
            lines.append(f"{span} {counts[index]:>6} {bar}".rstrip())
    return lines


def write(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `FILES`; an existing file is replaced only once its successor is complete."""
    texts = (json.dumps(report, indent=2, ensure_ascii=False) + "\n", markdown(report))
    for name, text in zip(FILES, texts):
        write_atomically(folder / name, text)


def _single(report: Mapping[str, Any]) -> list[str]:
    hop, invoke = report["hop_us"], report["invoke_us"]
    spread = report["p50_by_part_us"]
    return [
        f"{report['model']} ({_how(report)})",
        _runs(report),
        _row("microseconds", "".join(f"{name:>9}" for name in COLUMNS)),
        _row("whole hop", "".join(f"{hop[name]:>9.1f}" for name in COLUMNS)),
        _row("invoke alone", "".join(f"{invoke[name]:>9.1f}" for name in COLUMNS)),
        "parts of a hop, mean",
        *(
            _row(f"  {words}", f"{hop[name]:>9.1f}{hop[name] / hop['mean']:>6.0%}")
            for name, words in PART_NAMES.items()
        ),
        _row(f"p50 in {len(spread)} parts", f"{min(spread):>9.1f} to {max(spread)}"),
        _row("CPU per second of audio", f"{1000 * report['cpu_s_per_audio_s']:.2f} ms"),
        *_pace(report),
        _row(
            "cold start",
            f"{report['cold_start_s']:.3f} s to the first posterior, "
            f"{report['cold_start_over_baseline_s']:.3f} s over the baseline of "
            f"{report['cold_start_baseline_s']:.3f} s",
        ),
        _row(
            "peak memory",
            f"{report['rss_mb']:.1f} MB, {report['rss_over_baseline_mb']:.1f} MB over the "
            f"baseline of {report['rss_baseline_mb']:.1f} MB",
        ),
        _row("baseline", "a process with numpy, the interpreter and the model, invoked once"),
    ]


def _pace(report: Mapping[str, Any]) -> list[str]:
    if not report["paced"]:
        return [_row("in real time", "not measured; it costs more: see --paced")]
    burst = report["back_to_back"]
    return [
        _row(
            "back to back",
            f"{1000 * burst['cpu_s_per_audio_s']:.2f} ms, whole hop p50 {burst['hop_us']['p50']}: "
            f"real time costs {report['paced_over_back_to_back']:.2f} times the CPU",
        ),
        _row(
            "late hops",
            f"{report['late_hops']} of {report['hops']}, at most by {report['latest_ms']} ms",
        ),
    ]


def _compared(report: Mapping[str, Any]) -> list[str]:
    sides = (report["a"], report["b"])
    heads = _cells(["A", "B", "A / B"]) + f"{'middle half':>18}{'all rounds':>18}"
    values = {
        "cpu_s_per_audio_s": [f"{1000 * side['cpu_s_per_audio_s']:.2f} ms" for side in sides],
        "hop_us_p50": [f"{side['hop_us']['p50']:.1f} us" for side in sides],
        "invoke_us_p50": [f"{side['invoke_us']['p50']:.1f} us" for side in sides],
        "rss_mb": [f"{side['rss_mb']:.1f} MB" for side in sides],
        "cold_start_s": [f"{side['cold_start_s']:.3f} s" for side in sides],
    }
    rows = []
    for name, words in RATIO_NAMES.items():
        ratio = report["ratios"][name]
        spans = [f"{ratio[low]:.3f} to {ratio[high]:.3f}" for low, high in SPANS]
        cells = _cells([*values[name], f"{ratio['median']:.3f}"])
        rows.append(_row(words, cells + "".join(f"{span:>18}" for span in spans)))
    return [
        *(f"{name}: {side['model']} ({_how(side)})" for name, side in zip("AB", sides)),
        _runs(report),
        _row("", heads),
        *rows,
        _row(
            "memory over baseline",
            _cells([f"{side['rss_over_baseline_mb']:.1f} MB" for side in sides]),
        ),
    ]


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"{text:>11}" for text in texts)


def _how(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['mode']} form, {facts['runtime']} {facts['runtime_version']}, "
        f"{facts['kernels']} kernels, {facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    )


def _runs(report: Mapping[str, Any]) -> str:
    pace = "in real time" if report["paced"] else "back to back"
    each = " each in turn" if "ratios" in report else ""
    times = "once" if report["rounds"] == 1 else f"{report['rounds']} times"
    # Length and number of the hops; of both models if they differ.
    sides = [report[name] for name in "ab"] if "ratios" in report else [report]
    hops = list(dict.fromkeys(f"{side['hop_ms']} ms, {side['hops']} hops" for side in sides))
    shown = hops[0] if len(hops) == 1 else f"{hops[0]} (A), and every {hops[1]} (B)"
    return (
        f"{report['audio_s']} s of {report['audio']} {pace}, {times}{each}: a hop every {shown}; "
        f"a window and {report['warm_up_hops']} hops of warm-up before each do not count"
    )


def _machine(machine: Mapping[str, Any]) -> list[str]:
    name = ", ".join(machine[key] for key in ("board", "cpu") if machine[key]) or "unknown CPU"
    before, after = machine["before"], machine["after"]
    slowed = after["throttling"]
    throttled = "unknown" if slowed is None else ", ".join(slowed) or "no"
    return [
        _row(
            "machine",
            f"{name}, {machine['architecture']} ({machine['pointer_bits']} bit), "
            f"{machine['usable_cores']} cores, governor {machine['governor'] or 'unknown'}, "
            f"Python {machine['python']}, numpy {machine['numpy']}, {machine['system']}",
        ),
        _row(
            "before and after",
            f"{_heat_and_clock(before)}; {_heat_and_clock(after)}; throttled: {throttled}",
        ),
    ]


def _heat_and_clock(state: Mapping[str, Any]) -> str:
    celsius, mhz = state["temperature_c"], state["mhz"]
    heat = "temperature unknown" if celsius is None else f"{celsius} °C"
    return f"{heat}, {'clock unknown' if mhz is None else f'{mhz} MHz'}"


def _row(name: str, text: str) -> str:
    return f"{name:<24}{text}".rstrip()
