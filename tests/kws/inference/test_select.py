"""The form of a model that runs at a hop, and the default hop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kws import KeywordSpotter, models
from kws.config import FrontendConfig
from kws.decision.policy import Detection
from kws.errors import ConfigError
from kws.inference.select import default_hop_ms

SECOND = 16_000


def detected(audio: np.ndarray, model: object, **options: object) -> list[Detection]:
    """Return what a spotter detects, with the reference kernels, whose integers are equal."""
    spotter = KeywordSpotter.from_model(model, kernels="reference", **options)
    return spotter.process(audio) + spotter.flush()


@pytest.mark.parametrize("name", models.names())
def test_models_that_ship_have_a_hop_of_100_ms(name):
    """
    Whatever is asked for, or nothing: a window every 100 ms.
    """
    hops_ms = {
        mode: KeywordSpotter.from_model(name, mode=mode).hop_ms
        for mode in ("auto", "stream", "window")
    }

    assert {"auto": 100, "stream": 100, "window": 100} == hops_ms


def test_the_hop_is_the_stream_forms_own(default_manifest):
    """
    A model's own hop is its stream form's step, to the fraction of a ms; 100 ms without one, and
    where the window form is asked for.
    """
    stream = dataclasses.replace(default_manifest.stream, hop_frames=8)
    eight = dataclasses.replace(default_manifest, stream=stream)
    frontend = FrontendConfig(kind="spectrogram", frame_step_ms=7.75)
    odd = dataclasses.replace(eight, frontend=frontend)
    without = dataclasses.replace(default_manifest, stream=None)

    assert [80, 62, 100, 100] == [
        default_hop_ms(each) for each in (eight, odd, default_manifest, without)
    ]
    assert [80, 80, 100] == [
        default_hop_ms(eight, mode=each) for each in ("auto", "stream", "window")
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("stream", 80)),
        ({"mode": "stream"}, ("stream", 80)),
        ({"mode": "window"}, ("window", 100)),
        ({"hop_ms": 100}, ("window", 100)),
        ({"hop_ms": 160}, ("stream", 160)),
        ({"hop_ms": 80, "mode": "window"}, ("window", 80)),
    ],
)
def test_a_hop_that_is_asked_for_holds(eight_frame_model, options, expected):
    """
    A model of 80 ms streams by itself; a hop that is given decides the form, as ever.
    """
    spotter = KeywordSpotter.from_model(eight_frame_model, **options)

    assert expected == (spotter.model.mode, spotter.hop_ms)


def test_a_hop_that_does_not_fit_names_the_forms_own(eight_frame_model):
    """
    The usual 100 ms, asked for by name, are refused by a stream form of 80 ms.
    """
    with pytest.raises(ConfigError, match="every 80 ms or a multiple of it, got 100 ms"):
        KeywordSpotter.from_model(eight_frame_model, mode="stream", hop_ms=100)


def test_both_forms_detect_the_same_at_its_own_hop(eight_frame_model, demo_audio):
    """
    Without a hop the stream form detects what the window form does every 80 ms: the same words,
    times and scores, the times from the first window on in steps of 80 ms.
    """
    found = detected(demo_audio, eight_frame_model)
    expected = detected(demo_audio, eight_frame_model, mode="window", hop_ms=80)

    assert len(found) >= 4
    assert expected == found
    assert found == detected(demo_audio, eight_frame_model, mode="stream")
    steps = [(detection.time_s - 0.995) / 0.08 for detection in found]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)


def test_smoothing_and_the_end_are_counted_in_hops_of_its_own(eight_frame_model):
    """
    400 ms of smoothing are five posteriors of 80 ms: the first scores come 4 hops after the
    first window.
    """
    spotter = KeywordSpotter.from_model(eight_frame_model)
    times = []
    spotter.on_posterior = lambda time_s, _, scores: scores is not None and times.append(time_s)
    spotter.process(np.zeros(2 * SECOND, dtype=np.int16))

    assert 400 == spotter.manifest.decision.smoothing_ms
    assert 5 == spotter.smoother.n_posteriors
    assert 1_280 == spotter.hop_samples
    assert pytest.approx(0.995 + 4 * 0.08) == times[0]
