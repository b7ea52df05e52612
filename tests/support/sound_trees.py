"""Made environmental sounds: trees as ESC-50 and this data kit lay them out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
SOUNDS = ("dog", "rain", "siren", "hen")


def write_sound(path: Path, index: int, *, seconds: float = 5.0, rate: int = RATE) -> None:
    """Write a tone of the class `index` that wavers, in noise; each file differs by its name."""
    rng = np.random.default_rng([index, *path.name.encode()])
    times = np.arange(round(seconds * rate)) / rate
    low = 400 * 1.7**index * rng.uniform(0.97, 1.03)
    tone = np.sin(2 * np.pi * low * times) * (1 + np.sin(2 * np.pi * 3 * times)) / 2
    samples = 0.2 * tone + rng.normal(0, 0.003, len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples, rate, subtype="PCM_16")


def write_esc50(
    root: Path, *, n_folds: int = 5, per_fold: int = 2, sounds: tuple[str, ...] = SOUNDS
) -> Path:
    """Write ``audio/`` and ``meta/esc50.csv``; two clips of a fold are takes of one source."""
    rows = []
    for target, category in enumerate(sounds):
        for fold in range(1, n_folds + 1):
            for number in range(per_fold):
                source = 1_000 * fold + 10 * target + number // 2
                name = f"{fold}-{source}-{'AB'[number % 2]}-{target}.wav"
                write_sound(root / "audio" / name, target)
                rows.append((name, fold, target, category, "False", source, "AB"[number % 2]))
    write_table(
        root / "meta" / "esc50.csv",
        ("filename", "fold", "target", "category", "esc10", "src_file", "take"),
        rows,
    )
    return root


def write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Write a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(rows)
