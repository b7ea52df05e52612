"""What tuning listens to: audio without keywords, test words, and which speakers' share of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.spotter import KeywordSpotter
from training.datasets.folders import HALVES, halves, speaker_of
from training.evaluation import long_audio as stream_run
from training.evaluation.truth import IGNORE, Event, read_truth
from training.tuning.posterior_cache import Posteriors, posteriors_of_all

Progress = Callable[[Sequence[Path]], Sequence[Path]]


@dataclass(frozen=True)
class Part:
    """Long audio, heard and with its truth."""

    files: tuple[Posteriors, ...]
    """Their names begin with their folder's, so that two folders may hold the same ones."""

    events: tuple[Event, ...]
    speakers: tuple[str, ...]

    @property
    def hours(self) -> float:
        """How much there is."""
        return sum(file.duration_s for file in self.files) / 3600


@dataclass(frozen=True)
class Material:
    """All that one tuning, or one report, rests on."""

    quiet: Part
    """No keyword is spoken in it, but for ignored spans."""

    words: Part
    """Test words."""


@dataclass(frozen=True)
class Source:
    """Folders with their truth tables."""

    folders: tuple[Path, ...]
    truths: tuple[Path | None, ...]

    @classmethod
    def of(cls, folders: Sequence[Path], truths: Sequence[Path] | None = None) -> Source:
        """Pair folders with tables; without tables with the truth.csv that lies in each.

        Raises
        ------
        ConfigError
            If there are tables, but not one for each folder.
        """
        if truths and len(truths) != len(folders):
            raise ConfigError("--truth: expected one table for each --audio folder")
        found = [
            folder / "truth.csv" if (folder / "truth.csv").is_file() else None for folder in folders
        ]
        return cls(tuple(folders), tuple(truths or found))

    def listen(
        self,
        spotter: KeywordSpotter,
        half: str | None,
        *,
        cache: Path | None,
        progress: Callable[[str], Progress],
    ) -> Part:
        """Return what the model makes of the files of one half of each folder's speakers.

        Files of the other half are not opened. `half` is one of `HALVES`, or None for all. A
        folder of one speaker alone cannot be halved and is heard whole in either half.
        """
        files: list[Posteriors] = []
        events: list[Event] = []
        speakers: list[str] = []
        for folder, table in zip(self.folders, self.truths):
            paths = stream_run.audio_in(folder)
            names = [path.name for path in paths]
            both = halves(speaker_of(path) for path in paths)
            if half is not None and both[1]:
                paths = [path for path in paths if speaker_of(path) in both[HALVES.index(half)]]
            heard = posteriors_of_all(
                spotter, paths, cache=cache, progress=progress(f"{folder.name}")
            )
            kept = {path.name for path in paths}
            files += [replace(file, file=f"{folder.name}/{file.file}") for file in heard]
            events += [
                replace(event, file=f"{folder.name}/{event.file}")
                for event in (read_truth(table, files=names) if table else ())
                if event.file in kept
            ]
            speakers += sorted({speaker_of(path) for path in paths})
        return Part(tuple(files), tuple(events), tuple(speakers))

    def of_one_speaker(self) -> list[str]:
        """Return the folders that hold one speaker alone, so that both halves hear all of it."""
        return [
            folder.name
            for folder in self.folders
            if not halves(speaker_of(path) for path in stream_run.audio_in(folder))[1]
        ]


def listen(
    spotter: KeywordSpotter,
    quiet: Source,
    words: Source | None,
    half: str | None,
    *,
    cache: Path | None,
    progress: Callable[[str], Any],
) -> Material:
    """Return the material of one half, or of all speakers.

    Raises
    ------
    ConfigError
        If a keyword is spoken in the quiet audio, or none in the other.
    """
    heard = quiet.listen(spotter, half, cache=cache, progress=progress)
    spoken = [event for event in heard.events if event.keyword != IGNORE]
    if spoken:
        raise ConfigError(
            f"{spoken[0].file}: expected audio without keywords but for {IGNORE} spans, got "
            f"{spoken[0].keyword!r} at {spoken[0].start_s:g} s"
        )
    said = Part((), (), ())
    if words is not None:
        said = words.listen(spotter, half, cache=cache, progress=progress)
        if not {event.keyword for event in said.events} & set(spotter.keywords):
            raise ConfigError(
                f"{', '.join(map(str, words.folders))}: expected spoken keywords of "
                f"{spotter.manifest.name}; is there a truth.csv?"
            )
    return Material(heard, said)
