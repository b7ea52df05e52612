"""Folders of test audio: backgrounds joined and cut into files, keywords mixed over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.aligned_speech import Utterance, read_word_times, sounds_like
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.folders import AUDIO_SUFFIXES, halves, recordings_in, speaker_of
from training.evaluation.mix_stream import (
    Background,
    StreamConfig,
    join,
    mix_clips,
    write_stream,
)
from training.evaluation.truth import Event, write_truth


@dataclass(frozen=True)
class Group:
    """The clips and backgrounds of the files of one name."""

    name: str
    """The files are NAME-000.wav and so on."""

    clips: Sequence[Clip]
    backgrounds: Sequence[Path]


def build_streams(
    clips: Sequence[Clip],
    backgrounds: Sequence[Path],
    out: Path,
    config: StreamConfig,
    *,
    word_times: Path | None,
    keywords: tuple[str, ...],
    progress: Callable[[Sequence[int]], Sequence[int]],
) -> dict[str, Any]:
    """Write ``out/NAME-NNN.wav`` and ``out/truth.csv``; return how much there is.

    A background shorter than the length asked for is repeated. That length is split evenly
    among the groups.

    Raises
    ------
    ConfigError
        If `out` holds other audio than the files to be written.
    """
    groups = group(clips, _recordings(backgrounds), config.grouping)
    per_file = int(config.file_minutes * 60 * SAMPLE_RATE)
    share = None
    if config.minutes is not None:
        share = int(config.minutes * 60 * SAMPLE_RATE) // len(groups)
    joined = [
        _background(groups[index].backgrounds, word_times, keywords)
        for index in progress(range(len(groups)))
    ]
    lengths = [len(whole.samples) if share is None else share for whole in joined]
    _check_free(out, groups, [-(-length // per_file) for length in lengths])
    out.mkdir(parents=True, exist_ok=True)
    events: list[Event] = []
    n_files = 0
    for index in progress(range(len(groups))):
        samples, ignore = joined[index].samples, joined[index].ignore
        length = lengths[index]
        order = np.random.default_rng(config.seed).permutation(len(groups[index].clips))
        clips_left = [groups[index].clips[number] for number in order]
        for number, start in enumerate(range(0, length, per_file)):
            stop = min(length, start + per_file)
            file = _file_name(groups[index], number)
            spans = _spans(ignore, len(samples), start, stop)
            part = Background(_wrapped(samples, start, stop), spans)
            seeded = replace(config, seed=config.seed + n_files)
            mix, found = mix_clips(clips_left, part, seeded, file=file)
            write_stream(mix, out / file)
            clips_left = _rotated(clips_left, _n_spoken(found))
            events += found
            n_files += 1
    write_truth(events, out / "truth.csv")
    return {
        "files": n_files,
        "hours": sum(lengths) / SAMPLE_RATE / 3600,
        "events": _n_spoken(events),
        "truth": str(out / "truth.csv"),
        "snr_db": config.snr_db,
        "seed": config.seed,
    }


def _file_name(group: Group, number: int) -> str:
    return f"{group.name}-{number:03d}.wav"


def _check_free(out: Path, groups: Sequence[Group], n_files: Sequence[int]) -> None:
    """Refuse a folder with other audio, which a later evaluation would include."""
    written = {
        _file_name(one, number) for one, count in zip(groups, n_files) for number in range(count)
    }
    there = (path for path in out.glob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    older = sorted(path.name for path in there if path.name not in written)
    if older:
        raise ConfigError(
            f"--out {out}: expected a folder without other audio, got {older[0]}"
            f"{f' and {len(older) - 1} more' if len(older) > 1 else ''}; "
            "name another folder, or remove them"
        )


def _n_spoken(events: Sequence[Event]) -> int:
    return sum(1 for event in events if not event.keyword.startswith("_"))


def _rotated(clips: list[Clip], n_used: int) -> list[Clip]:
    """Return the clips, starting with the first that was not used yet."""
    first = n_used % len(clips) if clips else 0
    return clips[first:] + clips[:first]


def group(clips: Sequence[Clip], files: Sequence[Path], grouping: str) -> list[Group]:
    """Return the clips and backgrounds of each group of files.

    ``all``: one group named ``stream``. ``speaker``: one group per speaker (or source) of the
    background, under that name. ``halves``: ``a`` and ``b``, which share no speaker of the clips
    and no source of the background, so that `kws-eval tune` can keep them apart.
    """
    if grouping == "all":
        return [Group("stream", clips, files)]
    if grouping == "speaker":
        names = sorted({speaker_of(file) for file in files})
        return [
            Group(name, clips, [file for file in files if speaker_of(file) == name])
            for name in names
        ]
    speakers = halves(speaker_of(clip.path) for clip in clips)
    sources = halves(speaker_of(file) for file in files)
    if not sources[1] or (clips and not speakers[1]):
        raise ConfigError("halves: expected at least two speakers and two sources of background")
    return [
        Group(
            name,
            [clip for clip in clips if speaker_of(clip.path) in speakers[number]],
            [file for file in files if speaker_of(file) in sources[number]],
        )
        for number, name in enumerate(("a", "b"))
    ]


def _recordings(paths: Sequence[Path]) -> list[Path]:
    """Return the given files, and the audio of the given folders in sorted order."""
    found = [recordings_in(path) if path.is_dir() else [path] for path in paths]
    return list(itertools.chain(*found))


def _background(
    files: Sequence[Path], word_times: Path | None, keywords: tuple[str, ...]
) -> Background:
    """Return all recordings joined, and the spans in which a keyword is spoken."""
    spoken = read_word_times(word_times) if word_times else {}
    utterances = (Utterance(file, tuple(spoken.get(file.stem, ())), 0) for file in files)
    return join(utterances, ignored=sounds_like(keywords))


def _wrapped(samples: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """Return samples start..stop of the repeated background."""
    return samples[np.arange(start, stop) % len(samples)]


def _spans(
    ignore: Sequence[tuple[float, float]], period: int, start: int, stop: int
) -> tuple[tuple[float, float], ...]:
    """Return the ignored spans within start..stop of the repeated background, from `start`."""
    spans = []
    for turn in range(start // period, stop // period + 1):
        shift_s = (turn * period - start) / SAMPLE_RATE
        for first, last in ignore:
            low, high = first + shift_s, last + shift_s
            if high > 0 and low < (stop - start) / SAMPLE_RATE:
                spans.append((max(0.0, low), high))
    return tuple(spans)
