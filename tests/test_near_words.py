"""How the shipped model responds to half words, similar words, and repeated words.

The bounds are what the product promises: a worse model fails here. They lie above what
`default` 3.1 did when they were set, by about twice the chance that so few samples hold.
"""

from __future__ import annotations

import csv
import itertools
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from kws import KeywordSpotter, models
from kws.audio.files import read_file
from kws.audio.resample import Resampler

pytestmark = pytest.mark.slow

RATE = 16_000
LEVEL = 2_000
NEAR = ("honor", "awful", "gone", "upon", "often", "stopped")
FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = ("en-us", "en-gb", "en-us+f3", "en-us+m3")


@pytest.fixture(scope="module")
def spotter():
    """Return the shipped model with its own thresholds."""
    return KeywordSpotter.from_model("default")


@pytest.fixture(scope="module")
def demo():
    """Return the demo recording and its words with start and end in samples."""
    with open(models.FIRMWARE_MODELS / "demo.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    words = [
        (row["keyword"], int(float(row["start_s"]) * RATE), int(float(row["end_s"]) * RATE))
        for row in rows
    ]
    return np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav"))), words


def detected(spotter, samples):
    """Return the keywords that fire on samples by themselves, in a quiet room."""
    room = np.random.default_rng(5).normal(0, 15, len(samples) + 5 * RATE // 2)
    room[3 * RATE // 2 : 3 * RATE // 2 + len(samples)] += samples
    spotter.reset()
    whole = np.clip(np.round(room), -32_768, 32_767).astype(np.int16)
    return [found.keyword for found in (*spotter.process(whole), *spotter.flush())]


def sounding(samples):
    """Return the part within 30 dB of the loudest 10 ms, that at the level of all tests."""
    blocks = samples[: len(samples) // 160 * 160].astype(np.float64).reshape(-1, 160)
    power = np.mean(blocks**2, axis=1)
    loud = np.flatnonzero(power > power.max() / 1_000)
    part = samples[loud[0] * 160 : (loud[-1] + 1) * 160].astype(np.float64)
    return part * (LEVEL / np.sqrt(power[power > power.max() / 100].mean()))


def spoken(word, voice, folder):
    """Return a word from a speech synthesiser; skips where it is missing."""
    program = "flite" if voice in FLITE else "espeak-ng"
    if not shutil.which(program):
        pytest.skip(f"no {program} to speak with")
    path = folder / f"{word}-{voice}.wav"
    command = ["flite", "-voice", voice, "-t", word, "-o", str(path)]
    if program == "espeak-ng":
        command = ["espeak-ng", "-v", voice, "-s", "140", "-w", str(path), word]
    subprocess.run(command, check=True, timeout=30, stdout=subprocess.DEVNULL)
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE:
        samples = Resampler(rate, RATE).push(samples, last=True)
    return sounding(samples)


def test_one_utterance_fires_once(spotter, demo):
    """
    Each word of the demo recording fires once, and nothing else does.
    """
    audio, words = demo
    spotter.reset()

    fired = [found.keyword for found in (*spotter.process(audio), *spotter.flush())]

    assert [word for word, _, _ in words] == fired


def test_a_word_said_twice_fires_twice(spotter, demo):
    """
    The same word again, 0.8 s after it ended: two detections of it, for every word of the demo.
    """
    audio, words = demo
    wrong = {}
    for word, start, end in words:
        # With 0.4 s of the recording's own noise on either side.
        once = audio[start - 4 * RATE // 10 : end + 4 * RATE // 10]
        spotter.reset()
        room = audio[: RATE // 2]
        twice = np.concatenate((room, room, once, once, room))
        fired = [found.keyword for found in (*spotter.process(twice), *spotter.flush())]
        if fired != [word, word]:
            wrong[word] = fired

    assert {} == wrong


def test_half_a_word_by_a_synthesiser_seldom_fires(spotter, tmp_path):
    """
    The first half of a keyword ("sto-"), eight voices: at most 9 of 10 fire (64 of 80 when set).
    """
    halves = [
        part[: len(part) // 2]
        for word, voice in itertools.product(spotter.keywords, (*FLITE, *ESPEAK))
        for part in (spoken(word, voice, tmp_path),)
    ]

    fired = sum(bool(detected(spotter, half)) for half in halves)

    assert 80 == len(halves)
    assert fired <= 0.9 * len(halves)


def test_near_words_by_a_synthesiser_seldom_fire(spotter, tmp_path):
    """
    "honor", "awful", "gone", "upon", "often", "stopped", eight voices: at most half
    of them fire (17 of 48 when set, most of them "stopped" as "stop").
    """
    fired = [
        (word, voice, found)
        for word, voice in itertools.product(NEAR, (*FLITE, *ESPEAK))
        if (found := detected(spotter, spoken(word, voice, tmp_path)))
    ]

    assert len(fired) <= 0.5 * len(NEAR) * 8, fired


@pytest.mark.data
def test_half_a_word_of_real_people_fires_less_often_than_a_whole_one(spotter, kws_data):
    """
    The first half of 100 validation clips, words in silence: at most 75 fire (64 when set);
    whole, at least 90 fire (96). Half of "up" or "off" is often recognisable.
    """
    folder = kws_data / "speech_commands"
    listed = sorted((folder / "validation_list.txt").read_text().split())
    counts = {"half": 0, "whole": 0}
    for word in spotter.keywords:
        names = [name for name in listed if name.startswith(f"{word}/")]
        for name in names[:: max(1, len(names) // 10)][:10]:
            samples, _ = soundfile.read(folder / name, dtype="int16")
            whole = sounding(samples)
            counts["whole"] += bool(detected(spotter, whole))
            counts["half"] += bool(detected(spotter, whole[: len(whole) // 2]))

    assert counts["half"] <= 75
    assert counts["whole"] >= 90


@pytest.mark.data
def test_near_words_of_read_speech_hardly_fire(spotter, kws_data):
    """
    "honor", "awful", "gone", "upon", "often", "stopped" cut from held-out read speech, each
    by itself in quiet: at most 1 of 5 fires (7 of 69 when set). "know" is "no" to the
    ear and may fire as it.
    """
    with open(kws_data / "librispeech" / "dev_clean.words.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["word"].lower() in (*NEAR, "know")]
    fired: dict[str, list[str]] = {}
    for row in rows:
        first = int(row["start_sample"]) - 800
        path = kws_data / "librispeech" / "dev_clean" / f"{row['utterance']}.wav"
        samples, _ = soundfile.read(
            path, start=max(0, first), stop=first + int(row["n_samples"]) + 1_600, dtype="int16"
        )
        fired.setdefault(row["word"].lower(), []).extend(detected(spotter, sounding(samples)))

    near = [keyword for word in NEAR for keyword in fired.get(word, [])]
    n_near = sum(row["word"].lower() in NEAR for row in rows)
    assert n_near >= 50
    assert len(near) <= 0.2 * n_near
    assert {"no"} >= set(fired["know"])
