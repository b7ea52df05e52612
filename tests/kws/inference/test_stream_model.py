"""The stream form at run time: the window form's posteriors, however frames come."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kws import KeywordSpotter, models
from kws.errors import AudioError, ConfigError, ManifestError, ModelError
from kws.features.streaming import log_mel
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest


@pytest.fixture(scope="module")
def frames(demo_audio, default_manifest) -> np.ndarray:
    """Log-mel of spoken words."""
    return log_mel(demo_audio, default_manifest.frontend)


def both(
    manifest: ModelManifest, frames: np.ndarray, *, hop_frames: int = 10, kernels: str = "reference"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posteriors of window and stream form."""
    window = WindowModel(manifest, hop_frames=hop_frames, kernels=kernels)
    stream = StreamModel(manifest, hop_frames=hop_frames, kernels=kernels)
    return window.push(frames), stream.push(frames)


@pytest.mark.parametrize("kernels", ["reference", "default"])
@pytest.mark.parametrize("hop_frames", [10, 20, 90, 130])
def test_posteriors_equal_the_window_forms(default_manifest, frames, hop_frames, kernels):
    """
    Every hop's posterior equals the window form's: with the reference kernels to the last
    integer, with the default ones to 1 of 256. A hop may be any multiple of the form's own.
    """
    expected, got = both(default_manifest, frames, hop_frames=hop_frames, kernels=kernels)

    assert len(expected) >= 8
    assert len(np.unique(expected, axis=0)) > len(expected) // 2
    np.testing.assert_allclose(got, expected, rtol=0, atol=0 if kernels == "reference" else 1 / 256)


@settings(max_examples=30)
@given(pieces=st.lists(st.integers(1, 150), min_size=1, max_size=6))
def test_pieces_do_not_matter(default_manifest, frames, pieces):
    """
    However the frames are cut, the posteriors are the same ones, at the same frames.
    """
    whole = StreamModel(default_manifest, hop_frames=10).push(frames[:400])
    model = StreamModel(default_manifest, hop_frames=10)
    got, at = [], 0
    while at < 400:
        size = min(pieces[len(got) % len(pieces)], 400 - at)
        got.append(model.push(frames[at : at + size]))
        at += size
        expected_hops = 0 if at < 98 else (at - 98) // 10 + 1
        assert sum(map(len, got)) == expected_hops

    np.testing.assert_array_equal(np.concatenate(got), whole)


def test_the_first_posterior_is_the_first_full_windows(default_manifest, frames):
    """
    97 frames give none; the 98th gives the posterior of the window form.
    """
    model = StreamModel(default_manifest, hop_frames=10, kernels="reference")
    window = WindowModel(default_manifest, hop_frames=10, kernels="reference")

    assert (0, 12) == model.push(frames[:97]).shape
    first = model.push(frames[97:98])
    np.testing.assert_array_equal(first, window.predict(frames[:98])[None])


@pytest.mark.parametrize("n_before", [0, 3, 50, 98, 101, 333])
def test_reset_equals_new(default_manifest, frames, n_before):
    """
    After reset, earlier audio has no influence.
    """
    new = StreamModel(default_manifest, hop_frames=10)
    used = StreamModel(default_manifest, hop_frames=10)
    used.push(frames[-n_before:] if n_before else frames[:0])
    used.reset()

    np.testing.assert_array_equal(used.push(frames[:300]), new.push(frames[:300]))


def test_predict_is_apart_from_the_stream(default_manifest, frames):
    """
    A window asked for in between gives the window form's posterior and disturbs nothing.
    """
    stream = StreamModel(default_manifest, hop_frames=10, kernels="reference")
    window = WindowModel(default_manifest, hop_frames=10, kernels="reference")
    expected = window.push(frames[:400])
    first = stream.push(frames[:205])
    asked = stream.predict(frames[500:598])
    rest = stream.push(frames[205:400])

    np.testing.assert_array_equal(asked, window.predict(frames[500:598]))
    np.testing.assert_array_equal(np.concatenate((first, rest)), expected)


def test_a_window_of_another_shape_is_refused(default_manifest):
    """
    predict wants exactly one window.
    """
    model = StreamModel(default_manifest, hop_frames=10)

    with pytest.raises(AudioError, match=r"expected features \(98, 40\), got \(97, 40\)"):
        model.predict(np.zeros((97, 40), dtype=np.float32))


@pytest.mark.parametrize("form", [StreamModel, WindowModel])
def test_frames_of_another_shape_or_without_a_value_are_refused(default_manifest, form):
    """
    Neither form takes frames of other bands, nor a window with a NaN in it.
    """
    model = form(default_manifest, hop_frames=10)
    window = np.zeros((98, 40), dtype=np.float32)
    window[7, 3] = np.nan

    with pytest.raises(AudioError, match=r"expected shape \(n_frames, 40\), got \(8, 39\)"):
        model.push(np.zeros((8, 39), dtype=np.float32))
    with pytest.raises(AudioError, match="expected finite features"):
        model.predict(window)


@pytest.mark.parametrize("lost", [1, 1_600, 16_001])
def test_lost_samples_are_as_in_window_form(demo_audio, lost):
    """
    After a gap both forms are reset: same posteriors at the same times, none until a window
    is full again.
    """
    heard = {}
    for mode in ("window", "stream"):
        spotter = KeywordSpotter.from_model("default", mode=mode, kernels="reference")
        hops: list[tuple[float, bytes]] = []
        spotter.on_posterior = lambda time_s, posterior, _, hops=hops: hops.append(
            (time_s, posterior.tobytes())
        )
        spotter.process(demo_audio[:41_234])
        spotter.skip(lost)
        spotter.process(demo_audio[41_234:100_000])
        heard[mode] = hops
    after = [time_s for time_s, _ in heard["window"] if time_s > 41_234 / 16_000]

    assert (41_234 + lost + 15_920) / 16_000 == after[0]
    assert heard["window"] == heard["stream"]


def test_auto_takes_the_stream_form_where_the_hop_allows():
    """
    A hop that is a multiple of the stream form's runs it; another one runs the window form.
    """
    modes = {
        hop_ms: KeywordSpotter.from_model("default", hop_ms=hop_ms).model.mode
        for hop_ms in (50, 100, 110, 200)
    }

    assert {50: "window", 100: "stream", 110: "window", 200: "stream"} == modes


def test_a_hop_that_does_not_fit_is_refused():
    """
    The stream form at another hop is an error that names its hops.
    """
    with pytest.raises(ConfigError, match="every 100 ms or a multiple of it, got 50 ms"):
        KeywordSpotter.from_model("default", mode="stream", hop_ms=50)


def test_a_model_without_stream_form_says_so(tmp_path, default_manifest):
    """
    Auto falls back to the window form, stream is refused with the remedy.
    """
    manifest = copied(default_manifest, tmp_path, stream=None)

    with pytest.raises(ModelError, match="no stream form; use --mode window"):
        StreamModel(manifest, hop_frames=10)


def copied(manifest: ModelManifest, folder, **changes) -> ModelManifest:
    """Return a copy of a model in `folder`, with its manifest changed."""
    for form in (manifest.window, manifest.stream):
        shutil.copy(models.FIRMWARE_MODELS / form.file, folder)
    return dataclasses.replace(manifest, path=folder / "default.json", **changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda states: states.pop("stem_relu"), "does not name state/stem_relu, next/stem"),
        (
            lambda states: states.update(more={"shape": [1, 2]}),
            "names a state 'more'",
        ),
        (
            lambda states: states["stem_relu"].update(shape=[1, 5, 1, 128]),
            r"state 'stem_relu' \(1, 5, 1, 128\) of .*, got \(1, 4, 1, 128\)",
        ),
    ],
)
def test_states_that_the_manifest_does_not_describe_are_refused(
    tmp_path, default_manifest, change, message
):
    """
    A missing, unknown or misshapen state is an error at load, never a wrong answer.
    """
    states = {name: dict(state) for name, state in default_manifest.stream.states.items()}
    change(states)
    stream = dataclasses.replace(default_manifest.stream, states=states)
    manifest = copied(default_manifest, tmp_path, stream=stream)

    with pytest.raises(ModelError, match=message):
        StreamModel(manifest, hop_frames=10)


def test_the_window_form_in_its_place_is_refused(tmp_path, default_manifest):
    """
    A window form under the stream's name: by its hash, or else by its tensors.
    """
    window = default_manifest.window
    stream = dataclasses.replace(default_manifest.stream, file=window.file)
    with pytest.raises(ManifestError, match="expected sha256"):
        StreamModel(dataclasses.replace(default_manifest, stream=stream), hop_frames=10)

    stream = dataclasses.replace(stream, sha256=window.sha256)
    with pytest.raises(ModelError, match="expected an input 'log_mel' and an output 'posterior'"):
        StreamModel(dataclasses.replace(default_manifest, stream=stream), hop_frames=10)
