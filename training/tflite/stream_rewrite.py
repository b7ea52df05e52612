"""Rewrite a non-streaming .tflite model as a streaming one that computes only the new steps.

The streaming model is made from the finished .tflite file. It is neither trained nor converted
again: every weight, bias, scale and zero point is taken over, so each step it computes is the
same integer as in the non-streaming model.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from kws.errors import ModelError
from kws.inference.stream_model import INPUT, NEXT, OUTPUT, STATE
from training.tflite.cost import operator_macs
from training.tflite.graph import Graph
from training.tflite.layers import concatenate, slice_into
from training.tflite.stream_plan import Read, StreamPlan, plan_stream
from training.tflite.time_semantics import is_crop


@dataclass(frozen=True)
class StreamState:
    """Steps of one tensor that are kept from hop to hop."""

    name: str
    """The layer whose output is kept; its tensors are ``state/NAME`` and ``next/NAME``."""

    shape: tuple[int, ...]
    n_steps: int
    n_new: int
    stride: int
    """Frames from one step to the next."""


@dataclass(frozen=True)
class StreamingModel:
    """A streaming model, its states and its cost."""

    content: bytes
    states: tuple[StreamState, ...]
    macs: int
    """Multiplications of a hop."""

    window_macs: int
    """Multiplications of a whole window."""


def make_streaming(content: bytes, *, hop_frames: int, where: str = "model") -> StreamingModel:
    """Return the streaming model that computes what a non-streaming model does.

    Parameters
    ----------
    content : bytes
        A .tflite file with one input ``(1, n_frames, n_mels)`` and one output, int8 or float.
    hop_frames : int
        New frames a step; a multiple of the network's total stride in time.
    where : str
        Name for error messages.

    Raises
    ------
    NotStreamableError
        If the network cannot stream, or not at this hop.
    """
    graph = Graph(content, where=where)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.shape(graph.inputs[0])) != 3:
        raise ModelError(
            f"{where}: expected a non-streaming model with one input (1, n_frames, n_mels) and "
            f"one output, got {len(graph.inputs)} and {len(graph.outputs)}"
        )
    plan = plan_stream(graph, hop_frames=hop_frames)
    return _Rewriter(graph, plan).run()


class _Rewriter:
    """Walks through the operators of a window once, in order, and appends those of the stream."""

    def __init__(self, graph: Graph, plan: StreamPlan) -> None:
        self._graph = graph
        self._plan = plan
        # Where the steps of a window tensor are held: a tensor of the stream and its length.
        self._held: dict[int, tuple[int, int]] = {}
        self._slices: dict[tuple[int, int, int], int] = {}
        self._inputs: dict[str, int] = {}
        self._next_states: dict[str, int] = {}
        self._states: list[StreamState] = []
        self._macs = 0
        # A tensor that only reshapes another one keeps the name of that one.
        self._names: dict[int, str] = {graph.inputs[0]: INPUT}
        self._window_shapes = {index: graph.shape(index) for index in plan.timed}

    def run(self) -> StreamingModel:
        graph = self._graph
        source, output = graph.inputs[0], graph.outputs[0]
        window_operators, graph.operators = graph.operators, []
        macs = [operator_macs(graph, operator) for operator in window_operators]
        self._inputs[INPUT] = source
        self._shorten(source)
        self._hold(source, source, INPUT)
        for position, operator in enumerate(window_operators):
            self._rewrite(position, operator, macs[position])
        graph.tensor(source).name = INPUT.encode()
        graph.tensor(output).name = OUTPUT.encode()
        content = graph.rebuild(inputs=self._inputs, outputs={OUTPUT: output, **self._next_states})
        return StreamingModel(content, tuple(self._states), self._macs, sum(macs))

    def _rewrite(self, position: int, operator: Any, macs: int) -> None:
        """Append the operator, reading from what is held; a crop becomes a delay."""
        graph, plan = self._graph, self._plan
        made = int(operator.outputs[0])
        if position in plan.local_ops and is_crop(graph, operator):
            cropped = int(operator.inputs[0])
            read = plan.timed[cropped].reads[position]
            self._hold(made, self._take(cropped, read), graph.layer_name(made))
            return
        operator.inputs = np.asarray(
            [self._source(int(index), position) for index in operator.inputs], dtype=np.int32
        )
        graph.operators.append(operator)
        if position in plan.local_ops:
            self._shorten(made)
            self._fit_shape_options(operator)
            timed = self._plan.timed[made]
            self._macs += macs * timed.n_new // timed.time.n_steps
            self._hold(made, made, self._name(made, operator))
        else:
            self._macs += macs

    def _shorten(self, index: int) -> None:
        """Give a tensor the length of its new steps."""
        timed = self._plan.timed[index]
        shape = list(self._graph.shape(index))
        shape[timed.time.axis] = timed.n_new
        self._graph.tensor(index).shape = np.asarray(shape, dtype=np.int32)

    def _hold(self, index: int, tensor: int, name: str) -> None:
        """Keep the newest steps of a window tensor; the stream's `tensor` holds the new ones."""
        timed = self._plan.timed[index]
        kept, axis = timed.n_kept, timed.time.axis
        self._held[index] = (tensor, timed.n_new)
        if not kept:
            return
        graph, name = self._graph, self._unique(name)
        shape = list(self._window_shapes[index])
        shape[axis] = kept
        state = graph.add_tensor(f"{STATE}{name}", shape, like=index)
        joined = concatenate(graph, [state, tensor], name=f"joined/{name}", axis=axis)
        self._held[index] = (joined, kept + timed.n_new)
        following = self._slice(joined, axis=axis, begin=timed.n_new, n_steps=kept)
        graph.tensor(following).name = f"{NEXT}{name}".encode()
        self._inputs[f"{STATE}{name}"] = state
        self._next_states[f"{NEXT}{name}"] = following
        self._states.append(
            StreamState(name, graph.shape(state), kept, timed.n_new, timed.time.stride)
        )

    def _source(self, index: int, position: int) -> int:
        """Return the stream tensor with what an operator reads of a window tensor."""
        timed = self._plan.timed.get(index)
        return index if timed is None else self._take(index, timed.reads[position])

    def _take(self, index: int, read: Read) -> int:
        tensor, n_held = self._held[index]
        begin = n_held - read.reach
        if begin == 0 and read.n_steps == n_held:
            return tensor
        key = (index, begin, read.n_steps)
        if key not in self._slices:
            axis = self._plan.timed[index].time.axis
            self._slices[key] = self._slice(tensor, axis=axis, begin=begin, n_steps=read.n_steps)
        return self._slices[key]

    def _slice(self, tensor: int, *, axis: int, begin: int, n_steps: int) -> int:
        graph = self._graph
        shape = list(graph.shape(tensor))
        begins = [0] * len(shape)
        begins[axis], shape[axis] = begin, n_steps
        name = f"{graph.tensor_name(tensor)}[{begin}:{begin + n_steps}]"
        return slice_into(graph, tensor, graph.add_tensor(name, shape, like=tensor), begins)

    def _fit_shape_options(self, operator: Any) -> None:
        """Adapt a RESHAPE, whose shape is a constant, and a SQUEEZE that names no axes."""
        graph, options = self._graph, operator.builtinOptions
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        op_name = graph.op_name(operator)
        if op_name == "RESHAPE":
            shape = graph.shape(output)
            constant = graph.add_constant(f"{graph.layer_name(output)}/shape", shape)
            operator.inputs = np.asarray([source, constant], dtype=np.int32)
            if options is not None:
                options.newShape = np.asarray(shape, dtype=np.int32)
        if op_name == "SQUEEZE" and (options.squeezeDims is None or not len(options.squeezeDims)):
            # Without axes it would also remove the time axis of a single new step.
            dims = [axis for axis, size in enumerate(self._window_shapes[source]) if size == 1]
            options.squeezeDims = np.asarray(dims, dtype=np.int32)

    def _name(self, index: int, operator: Any) -> str:
        source = int(operator.inputs[0])
        same = self._graph.op_name(operator) in ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "TRANSPOSE")
        if same and source in self._names:
            self._names[index] = self._names[source]
        return self._names.get(index) or self._graph.layer_name(index)

    def _unique(self, name: str) -> str:
        taken = {state.name for state in self._states}
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        return name if name not in taken else next(free for free in numbered if free not in taken)
