"""The search for the context weight, on made-up posteriors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.example_manifest import example

from kws.config import DecisionConfig
from training.evaluation.truth import Event
from training.tuning.budget import Budget
from training.tuning.operating_point import figures
from training.tuning.posterior_cache import Posteriors, ScoreSettings
from training.tuning.tune import TuneConfig, tune
from training.tuning.tuning_audio import AudioSet, TuningAudio

HOP_S = 0.1
N_HOPS = 6_000
LABELS = ("on", "off", "_unknown_", "_silence_")


def posteriors(file: str, background: str, peaks: dict[int, tuple[str, float]]) -> Posteriors:
    """Return ten minutes of one background with keywords of four hops each."""
    rows = np.zeros((N_HOPS, len(LABELS)), dtype=np.float32)
    rows[:, LABELS.index(background)] = 0.98
    for hop, (keyword, height) in peaks.items():
        rows[hop : hop + 4] = 0
        rows[hop : hop + 4, LABELS.index(keyword)] = height
    times_s = 1.0 + HOP_S * np.arange(N_HOPS)
    return Posteriors(file, N_HOPS * HOP_S, times_s, rows, 1.0, HOP_S)


@pytest.fixture
def audio(rng) -> TuningAudio:
    """Two readers whose speech sometimes scores as a keyword, and words in quiet."""
    readers, words, events = [], [], []
    for name in ("a", "b"):
        starts = range(100, N_HOPS - 100, 100)
        heights = iter(rng.uniform(0.5, 0.95, 2 * len(starts)))
        keywords = rng.choice(["on", "off"], len(starts))
        found = {start: (word, next(heights)) for start, word in zip(starts, keywords)}
        readers.append(posteriors(f"quiet/{name}.wav", "_unknown_", found))
        spoken = {start: (word, next(heights)) for start, word in zip(starts, keywords)}
        words.append(posteriors(f"words/{name}.wav", "_silence_", spoken))
        events += [
            Event(f"words/{name}.wav", word, 0.2 + HOP_S * start, 0.9 + HOP_S * start)
            for start, word in zip(starts, keywords)
        ]
    return TuningAudio(
        {
            "readers": AudioSet(tuple(readers), (), ("a", "b"), Budget(6)),
            "words": AudioSet(tuple(words), tuple(events), ("a", "b")),
        }
    )


@pytest.fixture
def manifest():
    """A model of two words."""
    return example(labels=LABELS, decision=DecisionConfig(smoothing_ms=300))


def config(*weights: float) -> TuneConfig:
    return TuneConfig(
        margin=0.0,
        smoothing_ms=(300,),
        suppression_ms=(300,),
        context_weights=weights,
        max_latency_s=1.0,
    )


def test_a_weight_that_separates_speech_from_quiet_is_chosen(audio, manifest):
    """
    Keywords inside speech score as high as commands: without a context weight most commands are
    missed, with one hardly any, within the budget of false accepts.
    """
    plain = tune(audio, manifest, config(0.0))[1]
    chosen = tune(audio, manifest, config(0.0, 1.0, 4.0))[1]
    before, after = (figures([(audio, one)], manifest) for one in (plain, chosen))

    assert 0.0 == plain.scoring.context_weight
    assert 4.0 == chosen.scoring.context_weight
    assert before["missed"] > 0.8
    assert after["missed"] < 0.1
    assert after["conditions"]["readers"]["false_alarms"] <= 2


def test_a_wrong_detection_costs_more_than_a_missed_word(audio, manifest):
    """
    If words score equally often as the other keyword, a weight with fewer wrong
    detections is taken.
    """
    swap = {"on": "off", "off": "on"}
    wrong = [
        dataclasses.replace(event, keyword=swap[event.keyword])
        for number, event in enumerate(audio.sets["words"].events)
        if number % 2
    ]
    right = [event for number, event in enumerate(audio.sets["words"].events) if number % 2 == 0]
    words = dataclasses.replace(audio.sets["words"], events=(*right, *wrong))
    confused = TuningAudio({**audio.sets, "words": words})

    chosen = tune(confused, manifest, config(0.0, 4.0))[1]

    assert 0.0 == chosen.scoring.context_weight


def test_without_an_unknown_label_there_is_no_context_weight(audio):
    """
    A model without the labels for other speech and silence keeps its weights.
    """
    for missing in ("_unknown_", "_silence_"):
        labels = tuple("_other_" if label == missing else label for label in LABELS)
        manifest = example(labels=labels, decision=DecisionConfig(smoothing_ms=300))

        chosen = tune(audio, manifest, config(0.0, 4.0))[1]

        assert {} == chosen.scoring.weights(manifest)


def test_weights_of_the_manifest_are_kept_without_a_setting(manifest):
    """
    Without a weight each keyword keeps its own; with one all keywords have the same.
    """
    own = dataclasses.replace(
        manifest, decision=dataclasses.replace(manifest.decision, context_weights={"on": 2.0})
    )

    assert {"on": 2.0} == ScoreSettings(300, None).weights(own)
    assert {"on": 3.0, "off": 3.0} == ScoreSettings(300, 3.0).weights(own)
    assert {} == ScoreSettings(300, 0.0).weights(own)
