"""The report of an enrolment: numbers as text, and where words and speech lie as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kws.files import atomic_path, write_atomically
from training.enrolment.calibration import Tail
from training.enrolment.config import Taught
from training.enrolment.expectations import WordVerdict
from training.enrolment.word_model import Made


def write_report(
    folder: Path, made: Made, taught: Taught, found: Mapping[str, WordVerdict]
) -> Path:
    """Write ``report.md`` and a picture for each word into `folder`; return the text's path."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = made.manifest
    lines = [f"# {manifest.name}", "", manifest.description, ""]
    for number, (word, verdict) in enumerate(found.items()):
        picture = folder / f"word-{number + 1}.png"
        with atomic_path(picture) as temporary:
            _draw(temporary, taught=taught, word=word)
        lines += [f"## {word}", "", *(f"* {line.strip()}" for line in verdict.lines()), ""]
        lines += [f"![scores of {word}]({picture.name})", "", *_recordings(taught, word), ""]
    lines += [
        f"Posteriors of the exported model are within {made.most_difference:.3f} of what was "
        "taught, on these recordings.",
        "",
        "False accepts are estimated on read speech that the head had not learned from, by the "
        "exponential tail of its highest scores; misses by leaving each recording out in turn. "
        "Both flatter: your room is not in them. Measure with `kws-eval stream`.",
        "",
    ]
    path = folder / "report.md"
    write_atomically(path, "\n".join(lines))
    return path


def _recordings(taught: Taught, word: str) -> list[str]:
    """Return the recordings as a table, the worst first: the one to listen to again."""
    scores = taught.left_out[word]
    if not scores:
        return []
    paths = [one.path.name for one in taught.recordings[word]]
    rows = sorted(zip(scores, paths))
    return [
        "| recording, left out | above its threshold by | heard |",
        "|---|--:|---|",
        *(f"| {name} | {score:+.1f} | {'yes' if score >= 0 else 'no'} |" for score, name in rows),
    ]


def _draw(path: Path, *, taught: Taught, word: str) -> None:
    import matplotlib.pyplot as plt

    tail, threshold = taught.tails[word], taught.thresholds[word]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    _rates(axes[0], tail, threshold)
    scores = np.array(taught.left_out[word])
    if len(scores):
        axes[1].hist(scores, bins=min(20, max(5, len(scores))), color="tab:blue")
    axes[1].axvline(0, color="tab:red", label="threshold")
    axes[1].set(
        xlabel="logit above the threshold", ylabel="recordings", title=f"{word}: each left out"
    )
    axes[1].legend()
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def _rates(axes: Any, tail: Tail, threshold: float) -> None:
    levels = np.linspace(tail.level, max(threshold, tail.level) + 4 * tail.scale, 60)
    axes.semilogy(levels - threshold, [tail.per_hour(level) for level in levels])
    bounds = np.array([tail.interval(level) for level in levels])
    axes.fill_between(levels - threshold, bounds[:, 0], bounds[:, 1], alpha=0.2)
    axes.axvline(0, color="tab:red")
    axes.set(
        xlabel="logit above the threshold",
        ylabel="false accepts an hour",
        title="speech without the word",
    )
    axes.grid(alpha=0.3)
