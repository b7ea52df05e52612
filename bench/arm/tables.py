"""The findings as Markdown tables."""

from __future__ import annotations

from typing import Any

PART_COLUMNS = ("whole", "front_end", "model", "invoke", "smoothing_and_decision", "rest")


def markdown(findings: dict[str, Any]) -> str:
    """Return all tables that have rows."""
    parts = [_made_by(findings)]
    if findings.get("equality"):
        parts += [_equality(findings["equality"], findings["equality_cpu"])]
        parts += [_on_arm(findings["on_arm"])] if findings["on_arm"] else []
    if findings.get("counts"):
        parts += [_counts(findings["counts"])]
        parts += [_ratios(findings)] if findings["stream_over_window"] else []
    return "\n\n".join(parts) + "\n"


def _made_by(findings: dict[str, Any]) -> str:
    lines = [
        f"`{findings['command']}`, {findings['date']}, {findings['qemu']}, "
        f"audio `{findings['input']}` ({findings['input_sha256'][:16]}…)."
    ]
    abouts = [row.get("about") or row.get("arm") or {} for row in _rows(findings)]
    files = sorted({(about["file"], about["sha256"]) for about in abouts if about})
    lines += [f"Model `{file}`: sha256 `{sha256[:16]}…`." for file, sha256 in files]
    return "\n".join(lines)


def _rows(findings: dict[str, Any]) -> list[dict[str, Any]]:
    return [*findings.get("equality", []), *findings.get("counts", [])]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _equality(rows: list[dict[str, Any]], cpu: str) -> str:
    head = ["interpreter", "form", "kernels", "log-mel that differ", "int8 features", "posteriors"]
    head += ["largest difference", "detections", "verdict"]
    return f"aarch64 ({cpu}) against x86_64, every hop:\n\n" + _table(
        head, [_equality_line(row) for row in rows]
    )


def _equality_line(row: dict[str, Any]) -> list[str]:
    first = [row["runtime"], row["mode"], row["kernels"]]
    if "error" in row:
        return [*first, "", "", "", "", "", f"did not run: {row['error']}"]
    first[0] += f" {row['arm']['runtime_version']}"
    lsb = row["largest_lsb"]
    largest = f"{row['largest_posterior']:.2g}" if lsb is None else f"{lsb} LSB"
    differing = row["posteriors_differing"]
    found = "all equal" if not differing else f"{differing} of {row['posteriors']} differ"
    found += f" ({row['hops']} hops)"
    if "posteriors_differing_same_frames" in row:
        found += f"; {row['posteriors_differing_same_frames']} with the same frames"
    detections = f"{row['n_detections']}, "
    apart_s = row["words_apart_s"]
    if row["detections_equal"]:
        detections += "equal"
    elif apart_s is None:
        detections += "other words"
    else:
        detections += (
            "same words and times" if not apart_s else f"same words within {apart_s:.1f} s"
        )
    frames = f"{row['log_mel_differing']} of {row['log_mel']}"
    if row["log_mel_differing"]:
        frames += f" (by up to {row['log_mel_largest']:.1g})"
    features = f"{row['features_differing']} of {row['features']}"
    return [
        *first,
        frames,
        features,
        found,
        largest,
        detections,
        "as promised" if row["ok"] else "NOT EQUAL",
    ]


def _on_arm(rows: list[dict[str, Any]]) -> str:
    head = ["compared", "int8 posteriors that differ", "largest difference", "other best label"]
    lines = []
    for row in rows:
        differing = f"{row['posteriors_differing']} of {row['posteriors']}"
        other = f"{row['hops_other_label']} of {row['hops']} hops"
        lines.append([_pair(*row["pair"]), differing, f"{row['largest']:g}", other])
    return "Pairs on aarch64 itself:\n\n" + _table(head, lines)


def _pair(a: dict[str, str], b: dict[str, str]) -> str:
    """Return how two cases differ, and in brackets what they have in common."""
    versus = " against ".join(case[key] for case in (a, b) for key in a if a[key] != b[key])
    shared = ", ".join(value for key, value in a.items() if value == b[key])
    return f"{versus} ({shared})"


def _counts(rows: list[dict[str, Any]]) -> str:
    head = ["CPU", "interpreter", "model", "form", "whole hop", "front end", "model: all of it"]
    head += ["model: invoke", "smoothing, decision", "rest", "largest hop"]
    spreads = [row["spread"] for row in rows if row.get("spread") is not None]
    hops = max((row["about"]["n_hops"] for row in rows if "instructions" in row), default=0)
    lengths = sorted({row["about"]["hop_ms"] for row in rows if "instructions" in row}) or ["?"]
    length = " or ".join(str(hop_ms) for hop_ms in lengths)
    text = f"Thousands of instructions per {length} ms hop on aarch64, mean of {hops} hops:\n\n"
    text += _table(head, [_count_line(row) for row in rows])
    if spreads:
        text += f"\n\nWhole hops of repeated runs differ by at most {max(spreads):.4%}."
    return text


def _count_line(row: dict[str, Any]) -> list[str]:
    first = [row["cpu"], row["runtime"]]
    if "error" in row:
        blank = [""] * (len(PART_COLUMNS) + 1)
        return [*first, row["model"], row["mode"], f"did not run: {row['error']}", *blank[1:]]
    about, counted = row["about"], row["instructions"]
    first[1] = about["runtime"]
    figures = [f"{counted[part] / 1000:.1f}" for part in (*PART_COLUMNS, "whole_max")]
    return [*first, f"{about['model']} {about['dtype']}", row["mode"], *figures]


def _ratios(findings: dict[str, Any]) -> str:
    head = ["CPU", "interpreter", "model", "invoke", "whole hop"]
    lines = [
        [row["cpu"], row["runtime"], row["model"], f"{row['invoke']:.3f}", f"{row['whole']:.3f}"]
        for row in findings["stream_over_window"]
    ]
    return "Stream form over window form, instructions:\n\n" + _table(head, lines)
