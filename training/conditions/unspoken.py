"""Conditions without a keyword: noise alone, and running speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from training.batches.augmentation import reverberate
from training.conditions import sounds
from training.conditions.sources import Half
from training.conditions.spoken import PEAKS_DB, Made, Plan
from training.datasets.aligned_speech import Utterance, sounds_like
from training.datasets.clips import SAMPLE_RATE, Clip
from training.evaluation.mix_stream import join
from training.evaluation.truth import IGNORE, Event

Piece = Callable[[np.random.Generator, int], sounds.FloatArray]
FILE_S = 240.0
SCENE_S = (10.0, 30.0)
LEVELS_DB = (-50.0, -18.0)
PEAK_DB = -1.0
ROOM_SHARE = 0.5
N_ROOMS = 12
# Shares of the time: kinds that training never had count most, and people talking at once.
UNHEARD_SHARE, BABBLE_SHARE, PAIR_SHARE, OTHER_SHARE = 5.0, 5.0, 3.0, 1.0
BABBLE, PAIRS = "babble", "pairs"


def noise_alone(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield noise of one kind a file, in scenes of 10 to 30 s at -50 to -18 dB full scale."""
    kinds = _kinds(half, plan)
    whole = sum(share for share, _ in kinds.values())
    responses = sounds.room_responses(half, rng, N_ROOMS)
    for kind, (share, piece) in kinds.items():
        left_s = 60 * plan.noise_minutes * share / whole
        n_files = -(-left_s // FILE_S)
        for _ in range(int(n_files)):
            length = int(left_s / n_files * SAMPLE_RATE)
            yield Made(_scenes(piece, length, responses, rng), kind=kind)


def _kinds(half: Half, plan: Plan) -> dict[str, tuple[float, Piece]]:
    """Return the share of each kind, and what makes a piece of it."""
    clips = sounds.all_recordings(half)
    voices = list(half.voices.values())

    def of_kind(found: list[Clip]) -> Piece:
        return lambda rng, n_samples: sounds.noise_piece(rng, found, n_samples)

    def pair(rng: np.random.Generator, n_samples: int) -> sounds.FloatArray:
        both = [sounds.noise_piece(rng, clips, n_samples) for _ in range(2)]
        return sounds.unit_rms(both[0] + np.float32(rng.uniform(0.3, 1.0)) * both[1])

    def babble(rng: np.random.Generator, n_samples: int) -> sounds.FloatArray:
        return sounds.babble_piece(rng, voices, n_samples, plan.keywords)

    main = half.unheard or frozenset(half.noise)
    kinds: dict[str, tuple[float, Piece]] = {
        kind: (UNHEARD_SHARE if kind in main else OTHER_SHARE, of_kind(list(found)))
        for kind, found in half.noise.items()
    }
    return {**kinds, PAIRS: (PAIR_SHARE, pair), BABBLE: (BABBLE_SHARE, babble)}


def _scenes(
    piece: Piece, n_samples: int, responses: list[sounds.FloatArray], rng: np.random.Generator
) -> sounds.FloatArray:
    """Return pieces one after the other, each at a drawn level, every other in a room."""
    made = np.zeros(n_samples, np.float32)
    start = 0
    while start < n_samples:
        length = min(n_samples - start, int(rng.uniform(*SCENE_S) * SAMPLE_RATE))
        sound = piece(rng, length)
        if rng.random() < ROOM_SHARE:
            sound = sounds.unit_rms(
                reverberate(sound, responses[int(rng.integers(len(responses)))])
            )
        gain = 32_768 * 10 ** (rng.uniform(*LEVELS_DB) / 20)
        most = 32_768 * 10 ** (PEAK_DB / 20) / max(1e-6, np.abs(sound).max(initial=0.0))
        made[start : start + length] = sound * np.float32(min(gain, most))
        start += length
    return made


def read_speech(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield each reader's recordings in one file; keywords in them are ignored spans."""
    return _running(half.voices, plan, rng)


def dictation(half: Half, plan: Plan, rng: np.random.Generator) -> Iterator[Made]:
    """Yield each speaker's phrases in one file; those with a keyword are ignored spans."""
    return _running(half.dictation, plan, rng)


def _running(
    voices: Mapping[str, Sequence[Utterance]], plan: Plan, rng: np.random.Generator
) -> Iterator[Made]:
    for spoken in voices.values():
        speech = join(spoken, ignored=sounds_like(plan.keywords))
        samples = speech.samples.astype(np.float32)
        peak = 32_768 * 10 ** (rng.uniform(*PEAKS_DB) / 20)
        samples *= np.float32(peak / max(1.0, np.abs(samples).max(initial=0.0)))
        yield Made(samples, [Event("", IGNORE, start, end) for start, end in speech.ignore])
