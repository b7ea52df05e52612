"""What to expect of an enrolled word: text, JSON, and a report with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kws.files import write_atomically
from training.enrolment.calibration import ScoreTail
from training.enrolment.config import Enrolment
from training.enrolment.write_model import ExportedModel
from training.evaluation.metrics import share_interval
from training.plotting import new_figure, save_figure

ENOUGH = 8
"""Recordings from which leaving one out is a useful test."""


def word_report(enrolment: Enrolment, word: str) -> dict[str, Any]:
    """Return what was measured of one word, as plain JSON.

    ``left_out_missed`` of ``left_out_tried`` recordings are missed by a head fitted to the others;
    ``advice`` says what the user should do, or is empty.
    """
    tail, threshold = enrolment.tails[word], enrolment.thresholds[word]
    left_out, confused = enrolment.left_out[word], enrolment.confused[word]
    n_missed = sum(logit < 0 for logit in left_out)
    n_recordings = len(enrolment.recordings[word])
    return {
        "recordings": n_recordings,
        "voices": enrolment.voices.get(word, 0),
        "left_out_missed": n_missed,
        "left_out_tried": len(left_out),
        "false_accepts_per_hour": round(tail.per_hour(threshold), 3),
        "false_accepts_interval": [round(rate, 3) for rate in tail.interval(threshold)],
        "confused": {other: round(share, 3) for other, share in confused},
        "advice": _advice(n_recordings, n_missed, len(left_out), confused),
    }


def report_lines(word: str, report: Mapping[str, Any]) -> list[str]:
    """Return the report of a word as lines of text."""
    low, high = report["false_accepts_interval"]
    n_missed, n_tried = report["left_out_missed"], report["left_out_tried"]
    lines = [f"{word}: one recording, so none could be left out for a test"]
    if n_tried:
        least, most = share_interval(n_missed, n_tried)
        lines = [
            f"{word}: {n_missed} of {n_tried} recordings missed when left out "
            f"(95 % interval: {100 * least:.0f} to {100 * most:.0f} %)"
        ]
    if report["voices"]:
        lines.append(f"  {report['voices']} similar synthesised voices were used too")
    lines.append(
        f"  about {report['false_accepts_per_hour']:.1f} false accepts per hour of read speech "
        f"({low:.1f} to {high:.1f})"
    )
    if confused := report["confused"]:
        mixed = ", ".join(f"{other} ({100 * share:.0f} %)" for other, share in confused.items())
        lines.append(f"  fires on these words when said alone: {mixed}")
    return [*lines, f"  {report['advice'] or 'good: try it with kws-listen'}"]


def _advice(n: int, missed: int, tried: int, confused: Sequence[tuple[str, float]]) -> str:
    if n < 3:
        return "record 5 more: fewer than 3 recordings are too few"
    if tried and missed > 0.1 * tried:
        return "record 5 more, where and how you will say the word"
    if confused and confused[0][1] > 0.3:
        return f"too similar to {confused[0][0]}: choose a longer word or a phrase"
    if n < ENOUGH:
        return "record 5 more, with other voices and in other rooms"
    return ""


def write_report(
    folder: Path, made: ExportedModel, enrolment: Enrolment, reports: Mapping[str, dict[str, Any]]
) -> Path:
    """Write ``report.md`` and a picture per word into `folder`; return the path of the text."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = made.manifest
    lines = [f"# {manifest.name}", "", manifest.description, ""]
    for number, (word, report) in enumerate(reports.items()):
        picture = folder / f"word-{number + 1}.png"
        _draw(picture, enrolment, word)
        lines += [
            f"## {word}",
            "",
            *(f"* {line.strip()}" for line in report_lines(word, report)),
            "",
        ]
        lines += [f"![scores of {word}]({picture.name})", "", *_recordings(enrolment, word), ""]
    lines += [
        f"The posteriors of the exported model are within {made.max_difference:.3f} of the "
        "float head's on these recordings.",
        "",
        "False accepts are estimated on read speech that the head was not fitted to, from the "
        "exponential tail of its highest scores. Misses are measured by leaving each recording "
        "out in turn. Both are optimistic, because your room is not included. Measure with "
        "`kws-eval stream`.",
        "",
    ]
    path = folder / "report.md"
    write_atomically(path, "\n".join(lines))
    return path


def _recordings(enrolment: Enrolment, word: str) -> list[str]:
    """Return the recordings as a table, the worst first: the one to listen to again."""
    scores = enrolment.left_out[word]
    if not scores:
        return []
    rows = sorted(zip(scores, (one.path.name for one in enrolment.recordings[word])))
    return [
        "| recording, left out | logit above the threshold | detected |",
        "|---|--:|---|",
        *(f"| {name} | {score:+.1f} | {'yes' if score >= 0 else 'no'} |" for score, name in rows),
    ]


def _draw(path: Path, enrolment: Enrolment, word: str) -> None:
    figure = new_figure(9, 3.2)
    axes = figure.subplots(1, 2)
    _draw_rates(axes[0], enrolment.tails[word], enrolment.thresholds[word])
    scores = np.array(enrolment.left_out[word])
    if len(scores):
        axes[1].hist(scores, bins=min(20, max(5, len(scores))), color="tab:blue")
    axes[1].axvline(0, color="tab:red", label="threshold")
    axes[1].set(
        xlabel="logit above the threshold", ylabel="recordings", title=f"{word}: each left out"
    )
    axes[1].legend()
    save_figure(figure, path)


def _draw_rates(axes: Any, tail: ScoreTail, threshold: float) -> None:
    levels = np.linspace(tail.level, max(threshold, tail.level) + 4 * tail.scale, 60)
    axes.semilogy(levels - threshold, [tail.per_hour(level) for level in levels])
    bounds = np.array([tail.interval(level) for level in levels])
    axes.fill_between(levels - threshold, bounds[:, 0], bounds[:, 1], alpha=0.2)
    axes.axvline(0, color="tab:red")
    axes.set(
        xlabel="logit above the threshold",
        ylabel="false accepts per hour",
        title="speech without the word",
    )
    axes.grid(alpha=0.3)
