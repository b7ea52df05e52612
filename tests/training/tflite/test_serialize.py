"""The exported file stores nothing twice and computes the same as the converter's file."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs pip install '.[train]'")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from training.architectures.ds_tc_resnet import ds_tc_resnet
from training.tflite.convert import convert_int8, quantize
from training.tflite.graph import Graph
from training.tflite.serialize import DATA_ALIGNMENT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]


@pytest.fixture(scope="module")
def files() -> tuple[bytes, bytes]:
    """Return a network as the converter writes it, and compacted."""
    network = ds_tc_resnet(
        (98, 40), 12, stem_filters=32, blocks=[[32, 5, 2], [32, 7, 1]], mel_filters=[4, 8]
    )
    features = np.random.default_rng(1).normal(size=(20, 98, 40)).astype(np.float32)
    return quantize(network, features), convert_int8(network, features)


def outputs(content: bytes, windows: np.ndarray) -> np.ndarray:
    """Return the int8 posteriors ``(n, 12)`` of int8 windows ``(n, 98, 40)``."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    where, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    posteriors = []
    for window in windows:
        interpreter.set_tensor(where["index"], window[None])
        interpreter.invoke()
        posteriors.append(interpreter.get_tensor(result["index"])[0].copy())
    return np.stack(posteriors)


def test_every_integer_is_the_same(files: tuple[bytes, bytes]) -> None:
    """Sharing vectors and shortening names changes no posterior."""
    plain, compact = files
    windows = np.random.default_rng(2).integers(-128, 128, (40, 98, 40)).astype(np.int8)
    expected = outputs(plain, windows)
    assert len(np.unique(expected, axis=0)) > 20
    np.testing.assert_array_equal(expected, outputs(compact, windows))


def test_it_is_smaller(files: tuple[bytes, bytes]) -> None:
    """A small network loses at least a sixth of its size; compacting again changes nothing."""
    plain, compact = files
    assert len(compact) < len(plain) * 5 / 6
    assert len(compact) == len(Graph(compact, where="compact").compact())


def test_names_of_layers_stay(files: tuple[bytes, bytes]) -> None:
    """A tensor still names the layer that made it."""
    plain, compact = (Graph(content, where="file") for content in files)
    layers = [plain.layer_name(int(op.outputs[0])) for op in plain.operators]
    assert {"stem_relu", "block0_relu"} <= set(layers)
    assert layers == [compact.layer_name(int(op.outputs[0])) for op in compact.operators]


def test_weights_are_aligned(files: tuple[bytes, bytes]) -> None:
    """Each buffer begins at a multiple of 16 bytes of the file, as the schema requires."""
    content = np.frombuffer(files[1], np.uint8)
    model = schema.Model.GetRootAs(files[1], 0)
    held = [model.Buffers(n).DataAsNumpy() for n in range(model.BuffersLength())]
    data = [array for array in held if isinstance(array, np.ndarray) and len(array)]
    assert len(data) > 10
    base = content.__array_interface__["data"][0]
    places = [array.__array_interface__["data"][0] - base for array in data]
    assert [0] * len(places) == [place % DATA_ALIGNMENT for place in places]
