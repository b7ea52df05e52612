"""The audio that tuning uses: sets with a false-alarm budget, test words, one half of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.spotter import KeywordSpotter
from training.datasets.folders import HALVES, halves, speaker_of
from training.evaluation.long_audio import audio_in
from training.evaluation.truth import IGNORE, OTHER, Event, read_truth
from training.tuning.budget import Budget
from training.tuning.posterior_cache import Posteriors, posteriors_of


@dataclass(frozen=True)
class AudioSet:
    """The posteriors of long audio, with its truth."""

    files: tuple[Posteriors, ...]
    """Named by their whole paths: two folders, even of one name, may hold files of one name."""

    events: tuple[Event, ...]
    speakers: tuple[str, ...]
    budget: Budget | None = None
    """Of its false alarms; None: they are not limited."""

    weight: float = 1.0
    """Of its missed words among those of the other sets."""

    @property
    def hours(self) -> float:
        """Duration of all files."""
        return sum(file.duration_s for file in self.files) / 3600

    @property
    def n_others(self) -> int:
        """Number of words that are no keyword."""
        return sum(event.keyword == OTHER for event in self.events)

    @property
    def allowed(self) -> float:
        """Number of false alarms within the budget."""
        assert self.budget is not None
        return self.budget.limit * (self.n_others if self.budget.is_share else self.hours)


@dataclass(frozen=True)
class TuningAudio:
    """All audio of one tuning or one report, by name."""

    sets: Mapping[str, AudioSet]

    @property
    def alarms(self) -> dict[str, AudioSet]:
        """The sets with a budget; they hold no keywords."""
        return {name: part for name, part in self.sets.items() if part.budget}

    @property
    def words(self) -> dict[str, AudioSet]:
        """The sets with keywords."""
        return {name: part for name, part in self.sets.items() if _keywords(part)}

    @property
    def speakers(self) -> list[str]:
        """The speakers of all sets."""
        return sorted({speaker for part in self.sets.values() for speaker in part.speakers})


@dataclass(frozen=True)
class Source:
    """Folders of audio that are one set."""

    folders: tuple[Path, ...]
    budget: Budget | None = None
    weight: float = 1.0


def read_set(
    spotter: KeywordSpotter,
    source: Source,
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
    for folder in source.folders:
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
    return AudioSet(tuple(files), tuple(events), tuple(speakers), source.budget, source.weight)


def with_one_speaker(sources: Mapping[str, Source]) -> list[str]:
    """Return the folders with a single speaker, which belong to both halves."""
    return [
        folder.name
        for source in sources.values()
        for folder in source.folders
        if not halves(speaker_of(path) for path in audio_in(folder))[1]
    ]


def read_audio(
    spotter: KeywordSpotter,
    sources: Mapping[str, Source],
    half: str | None,
    *,
    cache: Path | None,
    progress: Callable[[str], Any],
) -> TuningAudio:
    """Return the audio of one half, or of all speakers.

    Raises
    ------
    ConfigError
        If a set has a budget and a keyword, or a share as its budget and no other words; or if
        no keyword is spoken in the sets without a budget.
    """
    sets = {}
    for name, source in sources.items():
        part = read_set(spotter, source, half, cache=cache, progress=progress)
        sets[name] = part
        if part.budget:
            _check_alarms(name, part)
    if not any(source.budget for source in sources.values()):
        raise ConfigError("expected at least one set of audio with a budget of false alarms")
    for_words = [str(path) for one in sources.values() if not one.budget for path in one.folders]
    spoken = {event.keyword for part in sets.values() for event in _keywords(part)}
    if for_words and not spoken & set(spotter.keywords):
        raise ConfigError(
            f"{', '.join(for_words)}: expected spoken keywords of {spotter.manifest.name}; "
            "is there a truth.csv?"
        )
    return TuningAudio(sets)


def _check_alarms(name: str, part: AudioSet) -> None:
    spoken = _keywords(part)
    if spoken:
        raise ConfigError(
            f"{spoken[0].file}: expected audio without keywords except in {IGNORE} spans, got "
            f"{spoken[0].keyword!r} at {spoken[0].start_s:g} s"
        )
    if part.budget and part.budget.is_share and not part.n_others:
        raise ConfigError(
            f"budget {name}={part.budget}: expected rows {OTHER} in its truth.csv, found none; "
            "give a rate per hour"
        )


def _keywords(part: AudioSet) -> list[Event]:
    return [event for event in part.events if event.keyword not in (IGNORE, OTHER)]
