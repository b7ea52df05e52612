"""The audio that tuning uses: audio without keywords, test words, and one half of the speakers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.spotter import KeywordSpotter
from training.datasets.folders import HALVES, halves, speaker_of
from training.evaluation.long_audio import audio_in
from training.evaluation.truth import IGNORE, Event, read_truth
from training.tuning.posterior_cache import Posteriors, posteriors_of


@dataclass(frozen=True)
class AudioSet:
    """The posteriors of long audio, with its truth."""

    files: tuple[Posteriors, ...]
    """Named by their whole paths: two folders, even of one name, may hold files of one name."""

    events: tuple[Event, ...]
    speakers: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Duration of all files."""
        return sum(file.duration_s for file in self.files) / 3600


@dataclass(frozen=True)
class TuningAudio:
    """All audio of one tuning or one report."""

    quiet: AudioSet
    """Without keywords, except in ignored spans."""

    words: AudioSet
    """Test words."""


def read_folders(
    spotter: KeywordSpotter,
    folders: Sequence[Path],
    half: str | None,
    *,
    cache: Path | None,
    progress: Callable[[str], Any],
) -> AudioSet:
    """Return the posteriors and truth of the files of one half of each folder's speakers.

    Files of the other half are not opened. `half` is one of `HALVES`, or None for all. A folder
    with a single speaker cannot be split and belongs to both halves. The truth is the folder's
    ``truth.csv``, if it has one.
    """
    files: list[Posteriors] = []
    events: list[Event] = []
    speakers: list[str] = []
    for folder in folders:
        paths = audio_in(folder)
        names = [path.name for path in paths]
        both = halves(speaker_of(path) for path in paths)
        if half is not None and both[1]:
            paths = [path for path in paths if speaker_of(path) in both[HALVES.index(half)]]
        for path in progress(folder.name)(paths):
            file = posteriors_of(spotter, path, cache=cache)
            files.append(replace(file, file=str(path)))
        table = folder / "truth.csv"
        kept = {path.name: str(path) for path in paths}
        events += [
            replace(event, file=kept[event.file])
            for event in (read_truth(table, files=names) if table.is_file() else ())
            if event.file in kept
        ]
        speakers += sorted({speaker_of(path) for path in paths})
    return AudioSet(tuple(files), tuple(events), tuple(speakers))


def with_one_speaker(folders: Sequence[Path]) -> list[str]:
    """Return the folders with a single speaker, which belong to both halves."""
    return [
        folder.name
        for folder in folders
        if not halves(speaker_of(path) for path in audio_in(folder))[1]
    ]


def read_audio(
    spotter: KeywordSpotter,
    quiet: Sequence[Path],
    words: Sequence[Path],
    half: str | None,
    *,
    cache: Path | None,
    progress: Callable[[str], Any],
) -> TuningAudio:
    """Return the audio of one half, or of all speakers.

    Raises
    ------
    ConfigError
        If a keyword is spoken in the quiet audio, or none among the test words.
    """
    background = read_folders(spotter, quiet, half, cache=cache, progress=progress)
    spoken = [event for event in background.events if event.keyword != IGNORE]
    if spoken:
        raise ConfigError(
            f"{spoken[0].file}: expected audio without keywords except in {IGNORE} spans, got "
            f"{spoken[0].keyword!r} at {spoken[0].start_s:g} s"
        )
    test_words = read_folders(spotter, words, half, cache=cache, progress=progress)
    spoken_words = {event.keyword for event in test_words.events}
    if words and not spoken_words & set(spotter.keywords):
        raise ConfigError(
            f"{', '.join(map(str, words))}: expected spoken keywords of "
            f"{spotter.manifest.name}; is there a truth.csv?"
        )
    return TuningAudio(background, test_words)
