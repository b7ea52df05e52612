"""Listening with and without an energy gate, to words and noise over a low floor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kws import KeywordSpotter
from kws.decision.policy import Detection
from kws.spotter import StageTimers

SECOND = 16_000
# Between the floor that these tests make and anything that they let sound.
GATE_DB = -56.0
FLOOR_RMS = 16.4
Hops = dict[float, tuple[bytes, Any]]
stretches = st.lists(st.integers(1, 60_000), min_size=1, max_size=6)
cuts = st.lists(
    st.one_of(
        st.sampled_from([1, 159, 1_599, 1_600, 1_601, 15_920, 160_000]), st.integers(1, 40_000)
    ),
    min_size=1,
    max_size=6,
)


def listen(
    spotter: KeywordSpotter, audio: np.ndarray, sizes: list[int] | None = None
) -> tuple[list[Detection], Hops]:
    """Return detections, and posterior and scores of each hop by its time; audio cut by `sizes`."""
    hops: Hops = {}

    def note(time_s: float, posterior: np.ndarray, scores: np.ndarray | None) -> None:
        hops[time_s] = (posterior.tobytes(), None if scores is None else scores.tobytes())

    spotter.on_posterior = note
    detections: list[Detection] = []
    at = n = 0
    sizes = sizes or [max(1, len(audio))]
    while at < len(audio):
        detections += spotter.process(audio[at : at + sizes[n % len(sizes)]])
        at += sizes[n % len(sizes)]
        n += 1
    spotter.on_posterior = None
    return detections, hops


def without_context(name: str, **settings: Any) -> KeywordSpotter:
    """Return a shipped model without speech context.

    Skipped hops count as quiet for a context, where the model may find some speech: only without
    one are scores the same to the last bit.
    """
    spotter = KeywordSpotter.from_model(name, **settings)
    decision = replace(spotter.manifest.decision, context_weights={})
    manifest = replace(spotter.manifest, decision=decision)
    return KeywordSpotter(manifest, spotter.model, thresholds=spotter.thresholds)


def with_gate(
    spotter: KeywordSpotter, gate_db: float = GATE_DB, timers: StageTimers | None = None
) -> KeywordSpotter:
    """Return a spotter with a gate and the same model; use only one of them at a time."""
    return KeywordSpotter(
        spotter.manifest,
        spotter.model,
        thresholds=spotter.thresholds,
        gate_db=gate_db,
        timers=timers,
    )


class ModelFrames:
    """Count the frames that reach the model (`kws.spotter.StageTimers`)."""

    def __init__(self) -> None:
        self.n = 0

    def around(self, stage: str, call: Any) -> Any:
        """Return the model's `push`, counting, and other stages as they are."""

        def push(frames: np.ndarray) -> np.ndarray:
            self.n += len(frames)
            return call(frames)

        return push if stage == "model" else call


def floor(n_samples: int) -> np.ndarray:
    """Return noise at -66 dB below full scale."""
    return np.random.default_rng(3).normal(0, FLOOR_RMS, n_samples).round().astype(np.int16)


def in_turn(lengths: list[int], *, loud_first: bool) -> np.ndarray:
    """Return stretches of floor and of loud noise in turn."""
    rng = np.random.default_rng(5)
    pieces = [
        rng.normal(0, 3_000, n).astype(np.int16) if loud_first == (index % 2 == 0) else floor(n)
        for index, n in enumerate(lengths)
    ]
    return np.concatenate(pieces)
