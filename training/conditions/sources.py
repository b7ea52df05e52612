"""What the test audio is made of, in two halves that share no speaker and no recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.aligned_speech import (
    Utterance,
    Word,
    cut_words,
    near_words,
    read_utterances,
    sounds_like,
)
from training.datasets.clips import Clip
from training.datasets.folders import (
    NOISE_FOLDER,
    by_label,
    halves,
    recordings_in,
    scan,
    speaker_of,
)
from training.datasets.noise import ESC_FOLDS, PORTIONS
from training.datasets.phrases import read_phrases
from training.datasets.rooms import read_rooms

HALF_NAMES = ("a", "b")
DIGITS = (*("zero", "one", "two", "three", "four"), *("five", "six", "seven", "eight", "nine"))
BACKGROUND = "background"
# Words that running speech says fast do not sound like a word spoken alone.
MIN_CUT_SAMPLES = 4_000
# A digit with fewer clips than this in a half also gets words cut from running speech.
MIN_DIGIT_TAKES = 8
ClipsByLabel = Mapping[str, Sequence[Clip]]


@dataclass(frozen=True)
class Half:
    """The sources of one half of the test audio."""

    name: str
    keywords: ClipsByLabel
    others: ClipsByLabel
    """Clips of other words; words that sound like a keyword are left out."""

    near: ClipsByLabel
    """Words cut from running speech that are spelled like a keyword."""

    digits: ClipsByLabel
    voices: Mapping[str, Sequence[Utterance]]
    """Running speech by speaker."""

    noise: ClipsByLabel
    """Recordings by kind."""

    dictation: Mapping[str, Sequence[Utterance]] = field(default_factory=dict)
    """Spoken phrases by speaker; where one has a keyword in it, all of it is that word."""

    unheard: frozenset[str] = frozenset()
    """The kinds of noise that training never had; of the others, training had other recordings."""

    responses: Sequence[NDArray[np.float32]] = ()
    """Measured room responses; none: rooms are simulated."""

    def counts(self) -> dict[str, Any]:
        """Return how much there is, as plain values."""
        return {
            "keyword_takes": {word: len(takes) for word, takes in sorted(self.keywords.items())},
            "other_takes": sum(map(len, self.others.values())),
            "near_takes": sum(map(len, self.near.values())),
            "digit_takes": {word: len(takes) for word, takes in self.digits.items()},
            "clip_speakers": len(
                {
                    speaker_of(clip.path)
                    for takes in (*self.keywords.values(), *self.others.values())
                    for clip in takes
                }
            ),
            "voices": len(self.voices),
            "dictating_voices": len(self.dictation),
            "noise_minutes": {
                kind: round(sum(map(_seconds, takes)) / 60, 2)
                for kind, takes in sorted(self.noise.items())
            },
        }


@dataclass(frozen=True)
class SourcePaths:
    """Where the sources are."""

    clips: tuple[Path, ...]
    speech: Path
    noise: tuple[Path, ...]
    phrases: Path | None = None
    """A folder of `datasets.phrases`; only speakers that do not train are used."""

    rooms: Path | None = None
    """A folder of measured responses; None: rooms are simulated."""

    split: str | None = "validation"
    """Of the clips; None: all of them."""

    keywords: tuple[str, ...] = ()
    held_out: tuple[str, ...] = field(default=())
    """Kinds of noise that training never had; the whole recordings of these are used."""


def read_halves(paths: SourcePaths) -> tuple[Half, Half]:
    """Return the sources in two halves; nothing is decoded yet.

    Raises
    ------
    ConfigError
        If a source is missing, or too small for two halves.
    """
    by_split = scan(*paths.clips)
    wanted = [paths.split] if paths.split else list(by_split)
    clips = [clip for split in wanted for clip in by_split[split]]
    speakers = halves(speaker_of(clip.path) for clip in clips)
    spoken = read_utterances(paths.speech.parent, paths.speech.name)
    voices = halves(speaker_of(one.path) for one in spoken)
    noise = noise_halves(noise_kinds(paths.noise, paths.held_out))
    rooms = read_rooms(paths.rooms)
    phrases = _phrases(paths)
    dictating = halves(phrases)
    made = []
    for number, name in enumerate(HALF_NAMES):
        here = [clip for clip in clips if speaker_of(clip.path) in speakers[number]]
        talk = [one for one in spoken if speaker_of(one.path) in voices[number]]
        half = _half(name, here, talk, paths.keywords)
        dictation = {name: phrases[name] for name in sorted(dictating[number])}
        unheard = frozenset(kind for kind in noise[number] if kind in paths.held_out)
        made.append(
            Half(
                **half,
                noise=noise[number],
                dictation=dictation,
                unheard=unheard,
                responses=tuple(rooms[number::2]),
            )
        )
        _check(made[-1], paths)
    return made[0], made[1]


def _phrases(paths: SourcePaths) -> dict[str, list[Utterance]]:
    """Return the phrases of the speakers who do not train."""
    alike = sounds_like(paths.keywords)
    found: dict[str, list[Utterance]] = {}
    for phrase in read_phrases(paths.phrases) if paths.phrases else ():
        if phrase.split != "training":
            n_samples = soundfile.info(str(phrase.path)).frames
            # Phrases have no word times.
            whole = [Word(text, 0, n_samples) for text in phrase.words if text in alike]
            one = Utterance(phrase.path, tuple(whole[:1]), n_samples)
            found.setdefault(phrase.speaker, []).append(one)
    return found


def _half(
    name: str, clips: Sequence[Clip], spoken: list[Utterance], keywords: tuple[str, ...]
) -> dict[str, Any]:
    alike = sounds_like(keywords)
    by_word = by_label(clips)
    cuts = cut_words(spoken, exclude=alike, min_samples=MIN_CUT_SAMPLES)
    digits = {
        digit: by_word.get(digit, [])
        if len(by_word.get(digit, ())) >= MIN_DIGIT_TAKES
        # A digit is common in running speech, a clip of it may not be.
        else [*by_word.get(digit, []), *cuts.get(digit, [])[:MIN_DIGIT_TAKES]]
        for digit in DIGITS
        if digit not in alike
    }
    voices: dict[str, list[Utterance]] = {}
    for one in spoken:
        voices.setdefault(speaker_of(one.path), []).append(one)
    return {
        "name": name,
        "keywords": {word: by_word[word] for word in keywords if word in by_word},
        "others": {word: takes for word, takes in by_word.items() if word not in alike},
        "near": {word: cuts[word] for word in near_words(cuts, keywords)},
        "digits": {word: takes for word, takes in digits.items() if takes},
        "voices": voices,
    }


def _check(half: Half, paths: SourcePaths) -> None:
    wanted = {
        "--clips": (half.keywords, f"clips of {', '.join(paths.keywords)}"),
        "--speech": (half.voices, "speakers"),
        "--noise": (half.noise, "recordings of noise"),
        f"--rooms {paths.rooms}": (not paths.rooms or half.responses, "room responses"),
    }
    for option, (found, what) in wanted.items():
        if not found:
            raise ConfigError(
                f"{option}: expected {what} for two halves, found none for half {half.name}"
            )


def noise_kinds(paths: Iterable[Path], held_out: Sequence[str]) -> dict[str, list[Clip]]:
    """Return recordings of noise by kind, without those that training has.

    The kind of a recording is the name of its folder. Of ESC-50's files (``5-1234-A.wav``) those
    of other folds than the testing one are left out, unless their kind is held out; of the long
    recordings of Speech Commands only the testing portion counts. Anything else counts whole.
    """
    kinds: dict[str, list[Clip]] = {}
    for path in paths:
        for file in recordings_in(path, "noise", deep=True) if path.is_dir() else [path]:
            kind = re.sub(r"[^a-z0-9]+", "_", file.resolve().parent.name.lower()).strip("_")
            clip = Clip(file, kind)
            if file.resolve().parent.name == NOISE_FOLDER:
                n_samples = soundfile.info(str(file)).frames
                start, stop = (int(n_samples * part) for part in PORTIONS["testing"])
                clip = Clip(file, BACKGROUND, start, stop - start)
            elif _is_trained_on(file) and kind not in held_out:
                continue
            kinds.setdefault(clip.label, []).append(clip)
    return kinds


def _is_trained_on(file: Path) -> bool:
    """Return whether a file is of ESC-50, and not of its testing fold."""
    is_esc = re.fullmatch(r"\d-\d+-[A-Z](-\d+)?", file.stem)
    return bool(is_esc) and int(file.name[0]) not in ESC_FOLDS["testing"]


def noise_halves(
    kinds: Mapping[str, Sequence[Clip]],
) -> tuple[dict[str, list[Clip]], dict[str, list[Clip]]]:
    """Return the recordings of each kind in two halves that share no source."""
    side: dict[str, int] = {}
    found: tuple[dict[str, list[Clip]], dict[str, list[Clip]]] = ({}, {})
    for kind, clips in sorted(kinds.items()):
        split = halves({speaker_of(clip.path) for clip in clips} - set(side))
        side.update((source, number) for number in (0, 1) for source in split[number])
        for clip in clips:
            found[side[speaker_of(clip.path)]].setdefault(kind, []).append(clip)
    return found


def _seconds(clip: Clip) -> float:
    info = soundfile.info(str(clip.path))
    return (info.frames if clip.n_samples is None else clip.n_samples) / info.samplerate
