"""TFLite Micro's interpreter runs the exported models in the memory that was measured."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kws.features.streaming import log_mel
from kws.inference.interpreter import open_model
from kws.inference.quantization import quantize

# It has no wheels for Python 3.9.
pytest.importorskip("ai_edge_litert.schema_py_generated")

from training.export.tensor_arena import measure_arena
from training.tflite.graph import Graph

HOP_FRAMES = 10


@pytest.fixture(scope="module")
def tflite_micro() -> Any:
    """TFLite Micro's interpreter, whose wheels are for Linux on x86_64."""
    return pytest.importorskip("tflite_micro").runtime


@pytest.fixture(scope="module")
def frames(default_manifest, demo_audio) -> np.ndarray:
    """The demo recording as the model's int8 frames."""
    frontend = default_manifest.frontend
    normalised = (log_mel(demo_audio, frontend) - frontend.mean) / frontend.std
    content = default_manifest.read_form(default_manifest.window)
    tensor = open_model(content, where="default").inputs[0]
    return quantize(normalised, scale=tensor.scale, zero_point=tensor.zero_point, dtype=np.int8)


@pytest.fixture(scope="module")
def posterior_before(tflite_micro, default_manifest, frames) -> Callable[[int], np.ndarray]:
    """TFLite Micro's int8 posterior of the window of frames that ends before `end`."""
    opened = tflite_micro.Interpreter.from_bytes(
        default_manifest.read_form(default_manifest.window)
    )

    def posterior(end: int) -> np.ndarray:
        opened.set_input(frames[None, end - default_manifest.window.window_frames : end], 0)
        opened.invoke()
        return opened.get_output(0)[0]

    return posterior


def test_tflite_micro_equals_the_reference_kernels(default_manifest, frames, posterior_before):
    """
    On windows of real speech the posteriors are those of LiteRT's reference kernels, except that
    the dense layer may round a near-tie the other way: a few of 256 steps, in few windows.
    """
    content = default_manifest.read_form(default_manifest.window)
    opened = open_model(content, where="default", kernels="reference")
    source, target = opened.memory(opened.inputs[0]), opened.memory(opened.outputs[0])

    found, expected = [], []
    n_frames = default_manifest.window.window_frames
    for end in range(n_frames, len(frames), 5 * HOP_FRAMES):
        source[0] = frames[end - n_frames : end]
        opened.interpreter.invoke()
        expected.append(target[0].astype(int))
        found.append(posterior_before(end).astype(int))

    difference = np.abs(np.array(found) - np.array(expected))
    assert difference.max() <= 8
    assert np.mean(difference > 0) < 0.02
    assert len(set(np.argmax(expected, axis=1))) >= 6


def test_tflite_micro_streams_by_the_header(
    tflite_micro, default_manifest, c_folder, frames, posterior_before
):
    """
    With states moved by the table of the source, the streaming model gives the same posteriors.
    """
    rows = re.findall(
        r"\{(\d+), (\d+), (\d+), (-?\d+), \{([\d, ]+)\}\},",
        (c_folder / "default_stream_model.cc").read_text(),
    )
    facts = dict(
        re.findall(
            r"^#define DEFAULT_STREAM_MODEL_(\w+) (.+)$",
            (c_folder / "default_stream_model.h").read_text(),
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
            expected.append(posterior_before(end))

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
    for form in (default_manifest.window, default_manifest.stream):
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
