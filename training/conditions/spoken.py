"""Conditions in which single words are spoken: keywords, other words, digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.batches.augmentation import reverberate
from training.conditions import sounds
from training.conditions.sources import ClipsByLabel, Half
from training.datasets.clips import SAMPLE_RATE, Clip
from training.evaluation.mix_stream import Background, Word, mix_words
from training.evaluation.truth import OTHER, Event

FILE_WORDS = 30
# The loudest sample of a file lies between these: near and far, loud and soft speakers.
PEAKS_DB = (-30.0, -6.0)
Surroundings = Callable[[np.random.Generator, int], Background]


@dataclass(frozen=True)
class Plan:
    """How much is made of each condition, in each half."""

    keywords: tuple[str, ...]
    n_keywords: int = 300
    n_others: int = 300
    noise_minutes: float = 60.0
    seed: int = 1


@dataclass(frozen=True)
class Made:
    """One file of test audio before it is written."""

    samples: sounds.FloatArray
    """On the int16 scale."""

    events: Sequence[Event] = ()
    """Their file has no name yet."""

    kind: str = ""


def keywords_in_quiet(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield keywords 3 to 8 s apart, 25 dB above a quiet room."""
    words = _spread(half.keywords, plan.n_keywords, rng, gap_s=(3.0, 8.0))
    return _files(words, _quiet, rng, snr_db=25.0)


def keywords_in_noise(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield keywords 10 dB above noise, with one to three other words between them."""
    words = _spread(half.keywords, plan.n_keywords, rng, gap_s=(1.0, 3.0))
    others = itertools.cycle(_takes(half.others, plan.n_others, rng))
    mixed = []
    for word in words:
        mixed.append(word)
        for clip in itertools.islice(others, int(rng.integers(1, 4))):
            mixed.append(Planned(clip, OTHER, rng.uniform(1.0, 3.0)))
    return _files(mixed, _noise(half), rng, snr_db=10.0)


def keywords_in_rooms(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield keywords through rooms, 15 dB above noise."""
    words = _spread(half.keywords, plan.n_keywords, rng, gap_s=(3.0, 8.0))
    n_files = -(-len(words) // FILE_WORDS)
    responses = sounds.room_responses(half, rng, 4 * n_files)
    far = [replace(word, response=responses[int(rng.integers(len(responses)))]) for word in words]
    return _files(far, _noise(half), rng, snr_db=15.0)


def keywords_before_a_voice(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield keywords 10 dB above one running voice."""
    words = _spread(half.keywords, plan.n_keywords, rng, gap_s=(3.0, 8.0))
    voices = list(half.voices.values())

    def voice(rng: np.random.Generator, n_samples: int) -> Background:
        return sounds.running_voice(rng, voices, n_samples, plan.keywords)

    return _files(words, voice, rng, snr_db=10.0)


def other_words(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield other words one by one, then words cut from speech that are spelled like a keyword."""
    parts = {"clips": (half.others, plan.n_others), "near": (half.near, plan.n_others // 3)}
    for kind, (clips, number) in parts.items():
        words = [Planned(clip, OTHER, rng.uniform(2.0, 4.0)) for clip in _takes(clips, number, rng)]
        for made in _files(words, _quiet, rng, snr_db=25.0):
            yield replace(made, kind=kind)


def digits(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield the digits from zero to nine again and again, 0.6 to 1.2 s apart."""
    takes = {word: _endless(clips, rng) for word, clips in half.digits.items()}
    words = []
    for _ in range(-(-plan.n_others // len(takes)) if takes else 0):
        for number, clips in enumerate(takes.values()):
            gap_s = rng.uniform(0.6, 1.2) if number else rng.uniform(2.0, 4.0)
            words.append(Planned(next(clips), OTHER, gap_s))
    return _files(words, _quiet, rng, snr_db=25.0)


@dataclass(frozen=True)
class Planned:
    """A clip, and when and how it is spoken."""

    clip: Clip
    keyword: str
    gap_s: float
    response: sounds.FloatArray | None = None

    def word(self) -> Word:
        """Return it decoded, in its room."""
        dry = Word.of(self.clip, keyword=self.keyword, gap_s=self.gap_s)
        if self.response is None:
            return dry
        # The echo of the word's end is heard after the clip.
        longer = np.pad(dry.samples, (0, len(self.response)))
        delay = int(np.argmax(np.abs(self.response)))
        span = (dry.span[0] + delay, dry.span[1] + delay)
        return replace(dry, samples=reverberate(longer, self.response), span=span)


def _spread(
    clips: ClipsByLabel, number: int, rng: np.random.Generator, *, gap_s: tuple[float, float]
) -> list[Planned]:
    return [
        Planned(clip, clip.label, rng.uniform(*gap_s))
        for clip in _takes(clips, number, rng, repeat=True)
    ]


def _takes(
    clips: ClipsByLabel, number: int, rng: np.random.Generator, *, repeat: bool = False
) -> list[Clip]:
    """Return clips drawn evenly by word, in drawn order; a take comes twice only if `repeat`."""
    turns = {word: _shuffled(takes, rng) for word, takes in sorted(clips.items())}
    found: list[Clip] = []
    for turn in range(number if turns else 0):
        here = [takes[turn % len(takes)] for takes in turns.values() if repeat or turn < len(takes)]
        found += here[: number - len(found)]
        if not here or len(found) == number:
            break
    return _shuffled(found, rng)


def _endless(clips: Sequence[Clip], rng: np.random.Generator) -> Iterator[Clip]:
    return itertools.cycle(_shuffled(clips, rng))


def _shuffled(clips: Sequence[Clip], rng: np.random.Generator) -> list[Clip]:
    return [clips[index] for index in rng.permutation(len(clips))]


def _files(
    words: Sequence[Planned], around: Surroundings, rng: np.random.Generator, *, snr_db: float
) -> Iterator[Made]:
    """Yield the words in files of equal length, each as loud as is drawn for it."""
    n_files = max(1, round(sum(word.keyword != OTHER for word in words) / FILE_WORDS))
    if all(word.keyword == OTHER for word in words):
        n_files = max(1, round(len(words) / FILE_WORDS))
    for part in np.array_split(np.arange(len(words)), n_files):
        spoken = [words[index].word() for index in part]
        length_s = sum(word.gap_s + len(word.samples) / SAMPLE_RATE for word in spoken) + 2.0
        background = around(rng, int(length_s * SAMPLE_RATE))
        mix, events = mix_words(spoken, background, snr_db=snr_db, file="")
        mix = mix[: int((max((event.end_s for event in events), default=0.0) + 2.0) * SAMPLE_RATE)]
        peak = 32_768 * 10 ** (rng.uniform(*PEAKS_DB) / 20)
        yield Made(mix * np.float32(peak / max(1e-6, np.abs(mix).max(initial=0.0))), events)


def _quiet(rng: np.random.Generator, n_samples: int) -> Background:
    return Background(sounds.quiet_room(rng, n_samples))


def _noise(half: Half) -> Surroundings:
    clips = sounds.all_recordings(half)

    def noise(rng: np.random.Generator, n_samples: int) -> Background:
        return Background(sounds.noise_track(rng, clips, n_samples))

    return noise
