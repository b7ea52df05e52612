"""Whole folders of test audio: backgrounds joined, cut into files, keywords laid over them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError
from training import make_stream
from training.data.clips import SAMPLE_RATE, Clip
from training.data.folders import AUDIO_SUFFIXES
from training.data.running_speech import sounds_like
from training.make_stream import Background, StreamConfig
from training.truth import Event, write_truth

WORD_COLUMNS = ("utterance", "word", "start_sample", "n_samples")


def build_streams(
    clips: Sequence[Clip],
    backgrounds: Sequence[Path],
    out: Path,
    *,
    word_times: Path | None,
    keywords: tuple[str, ...],
    snr_db: float,
    per_minute: float,
    minutes: float | None,
    file_minutes: float,
    seed: int,
    progress: Callable[[Sequence[int]], Sequence[int]],
) -> dict[str, Any]:
    """Write ``out/stream-NNN.wav`` and ``out/truth.csv``; return how much there is.

    The background is repeated where `minutes` asks for more than there is.
    """
    if file_minutes <= 0 or (minutes is not None and minutes <= 0):
        raise ConfigError("--minutes and --file-minutes must be above 0")
    samples, ignore = _background(backgrounds, word_times, keywords)
    wanted = len(samples) if minutes is None else int(minutes * 60 * SAMPLE_RATE)
    per_file = int(file_minutes * 60 * SAMPLE_RATE)
    order = np.random.default_rng(seed).permutation(len(clips))
    shuffled = [clips[index] for index in order]
    out.mkdir(parents=True, exist_ok=True)
    events: list[Event] = []
    used = 0
    starts = list(range(0, wanted, per_file))
    for number in progress(range(len(starts))):
        start, stop = starts[number], min(wanted, starts[number] + per_file)
        file = f"stream-{number:03d}.wav"
        part = Background(_wrapped(samples, start, stop), _spans(ignore, len(samples), start, stop))
        config = StreamConfig(snr_db=snr_db, keywords_per_minute=per_minute, seed=seed + number)
        rotated = shuffled[used % len(clips) :] + shuffled[: used % len(clips)] if clips else []
        mix, found = make_stream.lay(rotated, part, config, file=file)
        used += sum(1 for event in found if not event.keyword.startswith("_"))
        make_stream.write_stream(mix, out / file)
        events += found
    write_truth(events, out / "truth.csv")
    return {
        "files": len(starts),
        "hours": wanted / SAMPLE_RATE / 3600,
        "events": used,
        "truth": str(out / "truth.csv"),
        "snr_db": snr_db,
        "seed": seed,
    }


def _background(
    paths: Sequence[Path], word_times: Path | None, keywords: tuple[str, ...]
) -> tuple[NDArray[np.int16], list[tuple[float, float]]]:
    """Return all recordings joined, and where a keyword is spoken in them."""
    files: list[Path] = []
    for path in paths:
        files += (
            sorted(file for file in path.iterdir() if file.suffix.lower() in AUDIO_SUFFIXES)
            if path.is_dir()
            else [path]
        )
    if not files:
        raise AudioError(f"{', '.join(map(str, paths))}: expected recordings, found none")
    samples, starts = make_stream.join(files)
    ignore: list[tuple[float, float]] = []
    if word_times is not None:
        spoken = _keyword_times(word_times, sounds_like(keywords))
        for file, start in zip(files, starts):
            ignore += [(start + first, start + last) for first, last in spoken.get(file.stem, ())]
    return samples, ignore


def _keyword_times(table: Path, words: frozenset[str]) -> dict[str, list[tuple[float, float]]]:
    """Return start and end in seconds of the given words, by utterance."""
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    if not table.is_file():
        raise ConfigError(f"{table}: expected a table of word times, found none")
    with open(table, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = set(WORD_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ConfigError(f"{table}: expected the columns {','.join(WORD_COLUMNS)}")
        for row in reader:
            if row["word"].lower() in words:
                start = int(row["start_sample"])
                end = start + int(row["n_samples"])
                times[row["utterance"]].append((start / SAMPLE_RATE, end / SAMPLE_RATE))
    return times


def _wrapped(samples: NDArray[np.int16], start: int, stop: int) -> NDArray[np.int16]:
    """Return samples start..stop of the endlessly repeated background."""
    return samples[np.arange(start, stop) % len(samples)]


def _spans(
    ignore: Sequence[tuple[float, float]], period: int, start: int, stop: int
) -> tuple[tuple[float, float], ...]:
    """Return the ignored spans within start..stop of the repeated background, from 0."""
    spans = []
    for turn in range(start // period, stop // period + 1):
        shift_s = (turn * period - start) / SAMPLE_RATE
        for first, last in ignore:
            low, high = first + shift_s, last + shift_s
            if high > 0 and low < (stop - start) / SAMPLE_RATE:
                spans.append((max(0.0, low), high))
    return tuple(spans)
