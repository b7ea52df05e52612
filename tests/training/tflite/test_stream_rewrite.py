"""Every network with valid padding in time can stream, with equal posteriors."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from support.stream_networks import (
    FRAMES,
    MELS,
    broadcast_residual,
    ds_cnn,
    ds_tc_resnet,
    flattened,
    gated,
    pooled_by_its_length,
    reversed_channels,
    sliced_skips,
    uneven_strides,
)

from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError
from kws.features.streaming import log_mel
from kws.files import sha256
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, WindowForm, read_manifest
from training.tflite.convert import convert_float, convert_int8
from training.tflite.graph import Graph
from training.tflite.stream_export import ParityError, add_streaming_model, check_equality
from training.tflite.stream_plan import NotStreamableError
from training.tflite.stream_rewrite import StreamingModel, make_streaming

# TensorFlow's own, about its converter's default and its old interpreter.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
LABELS = ("yes", "no", "_unknown_")
FRONTEND = FrontendConfig(mean=0.0, std=1.0)


@pytest.fixture(scope="module")
def speech(demo_audio: np.ndarray) -> np.ndarray:
    """Log-mel of spoken words, shifted to the range of a normalised input."""
    return ((log_mel(demo_audio, FRONTEND) + 4) / 4.5).astype(np.float32)


@pytest.fixture(scope="module")
def manifest_of(tmp_path_factory, speech) -> Callable[..., ModelManifest]:
    """Make an int8 model with a manifest from a network with random weights.

    Each network and seed is converted once: do not write into its folder.
    """

    @functools.cache
    def make(build: Callable[[], keras.Model], seed: int = 3) -> ModelManifest:
        keras.utils.set_random_seed(seed)
        model = build()
        folder = tmp_path_factory.mktemp("model")
        windows = np.stack([speech[at : at + FRAMES] for at in range(0, 500, 13)])
        spread_outputs(model, windows)
        content = convert_int8(model, windows)
        (folder / "made.tflite").write_bytes(content)
        return ModelManifest(
            name="made",
            version="1",
            labels=LABELS,
            frontend=FRONTEND,
            window=WindowForm("made.tflite", sha256(content), 16_000, FRAMES),
            decision=DecisionConfig(),
            path=folder / "made.json",
        )

    return make


def spread_outputs(model: keras.Model, windows: np.ndarray) -> None:
    """Scale the last layer, whose outputs hardly change over time with random weights."""
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)][-1]
    weights, _ = dense.get_weights()
    logits = keras.Model(model.inputs, dense.input).predict(windows, verbose=0) @ weights
    gain = 2 / logits.std(axis=0)
    dense.set_weights([weights * gain, -logits.mean(axis=0) * gain])


@pytest.mark.parametrize(
    ("build", "hops"),
    [
        (ds_tc_resnet, (2, 10, 96)),
        (ds_cnn, (2, 10)),
        (uneven_strides, (4, 8, 20)),
        (broadcast_residual, (1, 3, 10)),
        (flattened, (1, 10)),
        (gated, (5, 10)),
        (sliced_skips, (1, 10)),
        (reversed_channels, (1, 10)),
        (pooled_by_its_length, (1, 10)),
    ],
)
def test_streaming_equals_non_streaming(manifest_of, speech, tmp_path, build, hops):
    """
    Every hop's posterior is that of the non-streaming model, to the last integer, at any hop.
    """
    manifest = manifest_of(build)
    posteriors = WindowModel(manifest, hop_frames=1, kernels="reference").push(speech[:300])

    assert len(np.unique(posteriors, axis=0)) > 10
    for hop_frames in hops:
        out = tmp_path / str(hop_frames)
        out.mkdir()
        streamed, made = add_streaming_model(manifest, speech, hop_frames=hop_frames, out=out)

        stream = StreamModel(streamed, hop_frames=hop_frames, kernels="reference")
        np.testing.assert_array_equal(stream.push(speech[:300]), posteriors[::hop_frames])
        assert (made.macs < made.window_macs) == (hop_frames < 96)
        assert read_manifest(out / "made.json").stream.hop_frames == hop_frames
        assert {"made.json", "made.tflite", "made.stream.tflite"} == {
            path.name for path in out.iterdir()
        }


def test_only_the_steps_that_are_needed_are_kept(default_manifest):
    """
    Against a hand count for `default` at a hop of 10 frames: a convolution keeps its kernel minus
    its stride, a skip what its block's convolutions lag behind, the pooling all but the new steps.
    """
    window = default_manifest.read_form(default_manifest.window)
    made = make_streaming(window, hop_frames=10)

    kept = {state.name: (state.n_steps, state.shape[-1]) for state in made.states}
    assert {
        # Includes the last of the 98 frames, which strides of 2 do not reach.
        "mel0_pad": (3 - 2 + 1, 1),
        "mel1_pad": (3 - 1, 16),
        "stem_relu": (5 - 1, 128),
        "block0_0_relu": (5 - 1, 128),
        "block0_relu": (7 - 1, 128),
        "block1_0_relu": (7 - 1, 128),
        "block1_relu": (9 - 1, 128),
        "block2_0_relu": (9 - 1, 128),
        "head_relu": (10 - 5, 256),
    } == kept
    # Five new steps of each layer: two over time and mel, stem, three blocks of two pairs, head;
    # then the dense layer.
    mel = 20 * 9 * 16 + 10 * 9 * 16 * 24
    pair = [(kernel + 128) * 128 for kernel in (5, 7, 9)]
    assert 5 * (mel + 10 * 24 * 128 + 2 * sum(pair) + 128 * 256) + 256 * 12 == made.macs


def test_states_have_the_same_scale_going_in_and_coming_out(default_manifest):
    """
    Scale, zero point and type of each state tensor are equal before and after a step.
    """
    graph = Graph(default_manifest.read_form(default_manifest.stream), where="default")
    named = {graph.tensor(index).name.decode(): index for index in (*graph.inputs, *graph.outputs)}
    states = [name for name in named if name.startswith("state/")]

    assert 9 == len(states)
    for name in states:
        before, after = named[name], named[name.replace("state/", "next/")]
        assert graph.scale_and_zero_point(before) == graph.scale_and_zero_point(after)
        assert graph.scale_and_zero_point(before)[0][0] > 0
        assert graph.tensor(before).type == graph.tensor(after).type
        assert graph.shape(before) == graph.shape(after)


def test_the_shipped_streaming_model_is_made_from_the_shipped_model(default_manifest):
    """
    `default.stream.tflite` is what rewriting `default.tflite` gives, byte for byte.
    """
    made = make_streaming(default_manifest.read_form(default_manifest.window), hop_frames=10)

    assert default_manifest.read_form(default_manifest.stream) == made.content


@pytest.mark.parametrize(
    ("build", "hop_frames", "message"),
    [
        (lambda: ds_cnn(padding="same"), 10, "use valid padding"),
        (ds_cnn, 5, "multiple of the network's total stride in time, 2, got 5"),
        (uneven_strides, 10, "total stride in time, 4, got 10"),
        (ds_cnn, 98, "expected 1 to 97, less than a window, got 98"),
        (ds_cnn, 0, "expected 1 to 97"),
    ],
)
def test_a_network_that_cannot_stream_is_refused_with_the_reason(
    manifest_of, speech, tmp_path, build, hop_frames, message
):
    """
    Padding in time, or a hop that the strides do not divide: a clear error, nothing written.
    """
    manifest = manifest_of(build)

    with pytest.raises(NotStreamableError, match=message):
        add_streaming_model(manifest, speech, hop_frames=hop_frames, out=tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_streaming_model_that_differs_is_found(manifest_of, speech, tmp_path):
    """
    One changed weight in the streaming model fails the comparison that export makes.
    """
    manifest = manifest_of(ds_tc_resnet)
    streamed, made = add_streaming_model(manifest, speech, hop_frames=10, out=tmp_path)
    assert check_equality(streamed, speech) > 100
    changed = damaged(made)
    (tmp_path / streamed.stream.file).write_bytes(changed)
    damaged_manifest = replace(streamed, stream=replace(streamed.stream, sha256=sha256(changed)))

    with pytest.raises(ParityError, match="expected the posteriors of the non-streaming"):
        check_equality(damaged_manifest, speech)


def damaged(made: StreamingModel) -> bytes:
    """Return the file with the first weights of the dense layer inverted."""
    graph = Graph(made.content, where="made")
    dense = next(op for op in graph.operators if graph.op_name(op) == "FULLY_CONNECTED")
    buffer = graph.model.buffers[graph.tensor(int(dense.inputs[1])).buffer]
    weights = np.array(buffer.data, dtype=np.uint8)
    weights[:10] ^= 0xFF
    buffer.data = weights
    names = {index: graph.tensor(index).name.decode() for index in graph.inputs + graph.outputs}
    return graph.rebuild(
        inputs={names[index]: index for index in graph.inputs},
        outputs={names[index]: index for index in graph.outputs},
    )


def test_a_float_network_streams_too(speech):
    """
    The rewriting does not depend on int8: the posteriors of a float network agree to rounding.
    """
    model = ds_tc_resnet()
    stream = Interpreter(model_content=make_streaming(convert_float(model), hop_frames=10).content)
    run = stream.get_signature_runner()
    states = {
        name: np.zeros(detail["shape"], dtype=np.float32)
        for name, detail in run.get_input_details().items()
        if name != "log_mel"
    }
    for end in range(8, 8 + 200, 10):
        step = np.zeros((1, 10, MELS), dtype=np.float32)
        step[0, -min(end, 10) :] = speech[max(0, end - 10) : end]
        found = run(log_mel=step, **states)
        states = {name: found[name.replace("state/", "next/")] for name in states}
        if end >= FRAMES:
            expected = model.predict(speech[None, end - FRAMES : end], verbose=0)
            np.testing.assert_allclose(found["posterior"], expected, atol=1e-4)


def test_its_own_folder_keeps_its_own_manifest(manifest_of, speech, tmp_path):
    """
    In the folder of the model its own manifest is replaced, whatever its name.
    """
    manifest = manifest_of(ds_tc_resnet)
    folder = tmp_path / "own"
    shutil.copytree(manifest.path.parent, folder)
    own = replace(manifest, path=folder / "mine.json")

    streamed, _ = add_streaming_model(own, speech, hop_frames=10, out=folder)
    assert folder / "mine.json" == streamed.path
    assert streamed == read_manifest(folder / "mine.json")
    assert not (folder / "made.json").exists()


def test_another_model_of_that_name_is_not_overwritten(manifest_of, speech, tmp_path):
    """
    If a manifest of the same name has other weights, nothing is written.
    """
    add_streaming_model(manifest_of(ds_tc_resnet), speech, hop_frames=10, out=tmp_path)
    before = (tmp_path / "made.stream.tflite").read_bytes()

    with pytest.raises(ConfigError, match="another model of this name is there already"):
        add_streaming_model(manifest_of(ds_tc_resnet, 5), speech, hop_frames=10, out=tmp_path)
    assert before == (tmp_path / "made.stream.tflite").read_bytes()


def test_too_little_speech_is_refused(manifest_of, speech, tmp_path):
    """
    Less than two windows would leave states unused.
    """
    with pytest.raises(ConfigError, match=r"at least 1.96 s of speech .*, got 1.95 s"):
        add_streaming_model(manifest_of(ds_cnn), speech[:195], hop_frames=10, out=tmp_path)
