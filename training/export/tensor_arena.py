"""How much working memory TFLite Micro needs for a model: measured with it, else computed."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kws.errors import ModelError
from training.tflite.graph import DTYPES, Graph

ALIGNMENT = 16
# One part in eight on top: CMSIS-NN's kernels want scratch memory that the reference kernels,
# which all figures here are of, do without.
MARGIN_PARTS = 8
ROUND_TO = 1024
# What the interpreter keeps for each thing beside the activations, in bytes on a 64-bit machine,
# rounded up from what tflite-micro's recording allocator reports; a 32-bit one keeps less.
PER_TENSOR = 24
PER_OPERATOR = 64 + 192
PER_CHANNEL = 8
PER_INPUT_OR_OUTPUT = 128
FIXED = 2048


@dataclass(frozen=True)
class TensorArena:
    """Working memory of a model."""

    least: int
    """Bytes that allocation and one run take."""

    measured: bool
    how: str
    """Where `least` comes from, for a reader of the generated source."""

    @property
    def n_bytes(self) -> int:
        """`least` and the margin, in whole kilobytes."""
        wanted = self.least + self.least // MARGIN_PARTS
        return -(-wanted // ROUND_TO) * ROUND_TO


def tensor_arena(content: bytes, graph: Graph, *, where: str) -> TensorArena:
    """Return the arena that a model needs.

    Measured where the package tflite-micro is installed, else a bound from the graph.

    Raises
    ------
    ModelError
        If tflite-micro is there and cannot run the model.
    """
    bound = arena_bound(graph)
    measured = _measured(content, roughly=bound, where=where)
    if measured is not None:
        least, version = measured
        how = (
            f"measured with tflite-micro {version} ({platform.machine()}, 64-bit pointers, "
            "reference kernels)"
        )
        return TensorArena(least, measured=True, how=how)
    how = (
        "computed, not measured: the activations laid out by TFLite Micro's greedy plan, and an "
        "upper bound of what the interpreter keeps with 64-bit pointers; export where the Python "
        "package tflite-micro is installed to have it measured"
    )
    return TensorArena(bound, measured=False, how=how)


def arena_bound(graph: Graph) -> int:
    """Return bytes that suffice for a model, from its graph alone."""
    weights = [
        int(operator.inputs[1])
        for operator in graph.operators
        if graph.op_name(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
    ]
    n_channels = sum(len(graph.scale_and_zero_point(index)[0]) for index in weights)
    kept = (
        FIXED
        + PER_TENSOR * len(graph.model.subgraphs[0].tensors)
        + PER_OPERATOR * len(graph.operators)
        + PER_CHANNEL * n_channels
        + PER_INPUT_OR_OUTPUT * (len(graph.inputs) + len(graph.outputs))
    )
    return _aligned(kept) + planned_bytes(_buffers(graph))


def planned_bytes(buffers: Iterable[tuple[int, int, int]]) -> int:
    """Return the height of a greedy plan of buffers (bytes, first and last operator that use it).

    As TFLite Micro's planner does: the largest first, each at the lowest place that is free for
    as long as it lives.
    """
    placed: list[tuple[int, int, int, int]] = []
    for size, first, last in sorted(buffers, reverse=True):
        offset = 0
        for begin, end, other_first, other_last in sorted(placed):
            if other_first > last or other_last < first:
                continue
            if offset + size <= begin:
                break
            offset = max(offset, end)
        placed.append((offset, offset + size, first, last))
    return max((end for _, end, _, _ in placed), default=0)


def _buffers(graph: Graph) -> list[tuple[int, int, int]]:
    """Return what an inference holds: computed tensors, and the scratch memory of reductions."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict(first)
    found = []
    for position, operator in enumerate(graph.operators):
        for index in map(int, operator.outputs):
            first.setdefault(index, position)
            last[index] = position
        for index in map(int, operator.inputs):
            if index in first:
                last[index] = position
        if graph.op_name(operator) in ("MEAN", "SUM", "REDUCE_MAX"):
            elements = int(np.prod(graph.shape(int(operator.outputs[0]))))
            # Sums are 32 bits wide until they are scaled.
            found.append((_aligned(4 * elements), position, position))
    last.update({index: len(graph.operators) for index in graph.outputs})
    for index in first:
        found.append((_aligned(n_bytes(graph, index)), first[index], last[index]))
    return found


def n_bytes(graph: Graph, index: int) -> int:
    """Return the size of a tensor."""
    item = np.dtype(DTYPES[graph.tensor(index).type]).itemsize
    return int(np.prod(graph.shape(index), dtype=np.int64)) * item


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _measured(content: bytes, *, roughly: int, where: str) -> tuple[int, str] | None:
    """Return the least arena and tflite-micro's version, or None where it cannot be measured.

    The recording allocator's total is taken and tried. Bisecting would not do: an arena that is
    far too small ends the process instead of raising an error.
    """
    try:
        import tflite_micro
    except ImportError:
        return None

    def run(arena_size: int) -> Any:
        interpreter = tflite_micro.runtime.Interpreter.from_bytes(content, arena_size=arena_size)
        interpreter.invoke()
        return interpreter

    interpreter, said = _captured(lambda: run(4 * roughly))
    if interpreter is None:
        reason = said.strip().splitlines()[0] if said.strip() else "no reason given"
        raise ModelError(f"{where}: TFLite Micro cannot run this model: {reason}")
    _, said = _captured(interpreter.print_allocations)
    total = re.search(r"allocation total (\d+) bytes", said)
    if total is None:
        return None
    least = int(total.group(1))
    tried, _ = _captured(lambda: run(least))
    return None if tried is None else (least, str(tflite_micro.__version__))


def _captured(call: Callable[[], Any]) -> tuple[Any, str]:
    """Return `call()`, or None if it failed, and what C++ wrote on file descriptor 2 meanwhile."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            result = call()
        except RuntimeError:
            result = None
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        said.seek(0)
        return result, said.read().decode(errors="replace")
