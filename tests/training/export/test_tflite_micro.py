"""TFLite Micro's own interpreter runs the exported models, in the memory that was promised."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kws.features.streaming import log_mel
from kws.inference.interpreter import open_model
from kws.inference.quantization import quantize
from kws.manifest import ModelManifest

# It has no wheels for Python 3.9.
pytest.importorskip("ai_edge_litert.interpreter")

from ai_edge_litert import interpreter as litert

from training.export.c_source import write_c_source
from training.export.tensor_arena import measure_arena
from training.tflite.graph import Graph

HOP_FRAMES = 10


@pytest.fixture(scope="module")
def tflite_micro() -> Any:
    """TFLite Micro's interpreter, whose wheels are for Linux on x86_64."""
    return pytest.importorskip("tflite_micro").runtime


@pytest.fixture(scope="module")
def written(default_manifest, tmp_path_factory) -> Path:
    """A folder with the default model as C source."""
    out = tmp_path_factory.mktemp("c")
    write_c_source(default_manifest, out)
    return out


@pytest.fixture(scope="module")
def frames(default_manifest, demo_audio) -> np.ndarray:
    """The demo recording as the model's int8 frames."""
    frontend = default_manifest.frontend
    normalised = (log_mel(demo_audio, frontend) - frontend.mean) / frontend.std
    content = default_manifest.read_form(default_manifest.window)
    tensor = open_model(content, where="default").inputs[0]
    return quantize(normalised, scale=tensor.scale, zero_point=tensor.zero_point, dtype=np.int8)


@pytest.fixture(scope="module")
def window_form(tflite_micro, default_manifest, frames) -> Callable[[int], np.ndarray]:
    """TFLite Micro's int8 posterior of the window of frames that comes before `end`."""
    opened = tflite_micro.Interpreter.from_bytes(
        default_manifest.read_form(default_manifest.window)
    )

    def posterior(end: int) -> np.ndarray:
        opened.set_input(window(default_manifest, frames, end), 0)
        opened.invoke()
        return opened.get_output(0)[0]

    return posterior


def window(manifest: ModelManifest, frames: np.ndarray, end: int) -> np.ndarray:
    return frames[None, end - manifest.window.window_frames : end]


def forms(manifest: ModelManifest) -> list[Any]:
    return [form for form in (manifest.window, manifest.stream) if form is not None]


def test_tflite_micro_equals_the_reference_kernels(tflite_micro, default_manifest, frames):
    """
    On windows of real speech every layer up to the last gives the integers of LiteRT's reference
    kernels; the dense layer may round a near-tie the other way, a step in few of its outputs.
    """
    content = default_manifest.read_form(default_manifest.window)
    graph = Graph(content, where="default")
    dense = next(op for op in graph.operators if graph.op_name(op) == "FULLY_CONNECTED")
    tensors = (int(dense.inputs[0]), int(dense.outputs[0]), graph.outputs[0])
    theirs = tflite_micro.Interpreter.from_bytes(
        content, intrepreter_config=tflite_micro.InterpreterConfig.kPreserveAllTensors
    )
    ours = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    ours.allocate_tensors()

    found: list[list[np.ndarray]] = []
    expected: list[list[np.ndarray]] = []
    for end in range(default_manifest.window.window_frames, len(frames), 5 * HOP_FRAMES):
        theirs.set_input(window(default_manifest, frames, end), 0)
        theirs.invoke()
        ours.set_tensor(graph.inputs[0], window(default_manifest, frames, end))
        ours.invoke()
        found.append([theirs.GetTensor(index, 0)["tensor_data"].ravel() for index in tensors])
        expected.append([ours.get_tensor(index).ravel() for index in tensors])

    pooled, logits, posteriors = (
        np.abs(np.array(mine, dtype=int) - np.array(other, dtype=int))
        for mine, other in zip(zip(*expected), zip(*found))
    )
    best = np.array([row[2].argmax() for row in expected])
    assert 0 == pooled.max()
    assert 1 >= logits.max()
    assert 0.01 > np.mean(logits > 0)
    # A step of one logit moves a posterior, whose steps are 1/256, by a quarter of its scale.
    (scale,), _ = graph.scale_and_zero_point(int(dense.outputs[0]))
    assert posteriors.max() <= np.ceil(256 * scale / 4)
    assert len({default_manifest.labels[label] for label in best}) >= 6


def test_tflite_micro_streams_as_the_header_says(
    tflite_micro, default_manifest, written, frames, window_form
):
    """
    With states carried by the source's table, the stream form gives the window form's posteriors.
    """
    rows = re.findall(
        r"\{(\d+), (\d+), (\d+), (-?\d+), \{([\d, ]+)\}\},",
        (written / "default_stream_model.cc").read_text(),
    )
    facts = dict(
        re.findall(
            r"^#define DEFAULT_STREAM_MODEL_(\w+) (.+)$",
            (written / "default_stream_model.h").read_text(),
            re.MULTILINE,
        )
    )
    hop, warm_up = int(facts["HOP_FRAMES"]), int(facts["N_WARM_UP_HOPS"])
    states = {}
    for before, after, n_bytes, zero_point, shape in rows:
        state = np.full([int(size) for size in shape.split(",")], int(zero_point), np.int8)
        assert int(n_bytes) == state.nbytes
        states[int(before), int(after)] = state
    streaming = tflite_micro.Interpreter.from_bytes(
        default_manifest.read_form(default_manifest.stream)
    )

    found, expected = [], []
    for step, end in enumerate(range(hop, len(frames) // 2, hop), start=1):
        streaming.set_input(frames[None, end - hop : end], int(facts["FRAMES_INPUT"]))
        for (before, _), state in states.items():
            streaming.set_input(state, before)
        streaming.invoke()
        states = {place: streaming.get_output(place[1]) for place in states}
        if step >= warm_up:
            found.append(streaming.get_output(int(facts["POSTERIOR_OUTPUT"]))[0])
            expected.append(window_form(end))

    assert sum(state.nbytes for state in states.values()) == int(facts["STATE_BYTES"])
    assert len(rows) == int(facts["N_STATES"])
    np.testing.assert_array_equal(np.array(found), np.array(expected))


def test_the_least_arena_is_the_least(tflite_micro, default_manifest):
    """
    Each form runs in the arena that was measured, and not in one 16 bytes smaller.
    """
    code = (
        "import sys, tflite_micro\n"
        "file, size = sys.argv[1:]\n"
        "made = tflite_micro.runtime.Interpreter.from_file(file, arena_size=int(size))\n"
        "made.invoke()\n"
    )
    for form in forms(default_manifest):
        content = default_manifest.read_form(form)
        arena = measure_arena(content, Graph(content, where="x"), where="x")
        file = str(default_manifest.path.parent / form.file)

        # In a process of its own: an arena that is too small may end it.
        codes = [
            subprocess.run(
                [sys.executable, "-c", code, file, str(size)], capture_output=True, timeout=60
            ).returncode
            for size in (arena.least, arena.least - 16)
        ]

        assert codes[0] == 0
        assert codes[1] != 0
        assert arena.least * 9 // 8 <= arena.n_bytes < arena.least * 9 // 8 + 1024
