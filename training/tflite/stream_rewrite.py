"""Rewrite a window form into its stream form: same weights, same scales, only the new steps.

The stream form is made from the finished .tflite file, not trained or converted a second time.
Every weight, bias, scale and zero point in it is the window form's own, so each step it computes
is the very integer that the window form computes, and only the bookkeeping differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kws.errors import ModelError
from training.tflite.graph import Graph
from training.tflite.stream_plan import StreamPlan, Use, plan_stream
from training.tflite.time_semantics import is_crop


@dataclass(frozen=True)
class State:
    """Steps of one tensor that are carried from hop to hop."""

    name: str
    """The layer whose output is kept; its tensors are ``state/NAME`` and ``next/NAME``."""

    shape: tuple[int, ...]
    n_steps: int
    n_new: int
    stride: int
    """Frames from one step to the next."""


@dataclass(frozen=True)
class RewrittenModel:
    """A stream form and what it keeps."""

    content: bytes
    states: tuple[State, ...]
    macs: int
    """Multiplications of a hop; `window_macs` those of a whole window."""

    window_macs: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Layer:
    """A row of the picture: how many steps a window has, and which of them are new or kept."""

    name: str
    n_steps: int
    n_new: int
    n_kept: int
    stride: int
    macs: int
    window_macs: int


def stream_form(content: bytes, *, hop_frames: int, where: str = "model") -> RewrittenModel:
    """Return the stream form of a window form.

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
    NoStreamFormError
        If the network has none, or not at this hop.
    """
    graph = Graph(content, where=where)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.shape(graph.inputs[0])) != 3:
        raise ModelError(
            f"{where}: expected a window form, one input (1, n_frames, n_mels) and one output, "
            f"got {len(graph.inputs)} and {len(graph.outputs)}"
        )
    plan = plan_stream(graph, hop_frames=hop_frames)
    return _Rewriter(graph, plan).run()


class _Rewriter:
    """Walks through the operators once, in order, and writes the stream's."""

    def __init__(self, graph: Graph, plan: StreamPlan) -> None:
        self._graph = graph
        self._plan = plan
        self._operators: list[Any] = []
        # Where the steps of a window tensor are found: a tensor of the stream and its length.
        self._held: dict[int, tuple[int, int]] = {}
        self._pieces: dict[tuple[int, int, int], int] = {}
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}
        self._states: list[State] = []
        self._layers: list[Layer] = []
        # Tensors that hold what another holds, in another shape, go by its name.
        self._names: dict[int, str] = {graph.inputs[0]: "log_mel"}
        self._window_shapes = {index: graph.shape(index) for index in plan.stretches}

    def run(self) -> RewrittenModel:
        graph, plan = self._graph, self._plan
        source, output = graph.inputs[0], graph.outputs[0]
        macs = {id(operator): _macs(graph, operator) for operator in graph.operators}
        self._inputs["log_mel"] = source
        self._shorten(source)
        self._hold(source, source, "log_mel")
        for position, operator in enumerate(graph.operators):
            made = int(operator.outputs[0])
            if position in plan.locals and is_crop(graph, operator):
                use = plan.stretches[int(operator.inputs[0])].uses[position]
                self._hold(made, self._piece(int(operator.inputs[0]), use), graph.layer_name(made))
                continue
            before = macs[id(operator)]
            operator.inputs = np.asarray(
                [self._read(int(index), position) for index in operator.inputs], dtype=np.int32
            )
            self._operators.append(operator)
            if position in plan.locals:
                self._shorten(made)
                self._fit_reshape(operator)
                self._note_layer(made, self._name(made, operator), before)
                self._hold(made, made, self._name(made, operator))
            elif before:
                self._layers.append(Layer(graph.layer_name(made), 1, 1, 0, 0, before, before))
        states = {**self._outputs}
        graph.tensor(source).name = b"log_mel"
        graph.tensor(output).name = b"posterior"
        content = graph.rebuild(
            self._operators, inputs=self._inputs, outputs={"posterior": output, **states}
        )
        return RewrittenModel(
            content,
            tuple(self._states),
            macs=sum(layer.macs for layer in self._layers),
            window_macs=sum(layer.window_macs for layer in self._layers),
            layers=tuple(self._layers),
        )

    def _shorten(self, index: int) -> None:
        """Give a tensor the length of its new steps."""
        stretch = self._plan.stretches[index]
        shape = list(self._graph.shape(index))
        shape[stretch.time.axis] = stretch.n_new
        self._graph.tensor(index).shape = np.asarray(shape, dtype=np.int32)

    def _hold(self, index: int, tensor: int, name: str) -> None:
        """Keep the newest steps of a window tensor, which the stream's `tensor` adds to."""
        stretch = self._plan.stretches[index]
        kept, axis = stretch.n_kept, stretch.time.axis
        self._held[index] = (tensor, stretch.n_new)
        if not kept:
            return
        name = self._unique(name)
        shape = list(self._window_shapes[index])
        graph = self._graph

        def tensor_of(prefix: str, n_steps: int) -> int:
            shape[axis] = n_steps
            return graph.add_tensor(f"{prefix}/{name}", shape, like=index)

        state, joined = tensor_of("state", kept), tensor_of("joined", kept + stretch.n_new)
        self._operators.append(graph.operator("CONCATENATION", [state, tensor], joined, axis=axis))
        self._held[index] = (joined, kept + stretch.n_new)
        following = self._slice(joined, like=index, axis=axis, begin=stretch.n_new, n_steps=kept)
        graph.tensor(following).name = f"next/{name}".encode()
        self._inputs[f"state/{name}"] = state
        self._outputs[f"next/{name}"] = following
        self._states.append(
            State(name, graph.shape(state), kept, stretch.n_new, stretch.time.stride)
        )

    def _read(self, index: int, position: int) -> int:
        """Return the stream tensor that holds what an operator reads of a window tensor."""
        stretch = self._plan.stretches.get(index)
        return index if stretch is None else self._piece(index, stretch.uses[position])

    def _piece(self, index: int, use: Use) -> int:
        tensor, n_held = self._held[index]
        begin = n_held - use.reach
        if begin == 0 and use.n_steps == n_held:
            return tensor
        key = (index, begin, use.n_steps)
        if key not in self._pieces:
            axis = self._plan.stretches[index].time.axis
            self._pieces[key] = self._slice(
                tensor, like=index, axis=axis, begin=begin, n_steps=use.n_steps
            )
        return self._pieces[key]

    def _slice(self, tensor: int, *, like: int, axis: int, begin: int, n_steps: int) -> int:
        graph = self._graph
        begins = [0] * len(graph.shape(tensor))
        sizes = list(graph.shape(tensor))
        begins[axis], sizes[axis] = begin, n_steps
        name = f"{graph.tensor(tensor).name.decode()}[{begin}:{begin + n_steps}]"
        made = graph.add_tensor(name, sizes, like=like)
        where = [
            graph.add_constant(f"{name}/{part}", value)
            for part, value in (("begin", begins), ("size", sizes))
        ]
        self._operators.append(graph.operator("SLICE", [tensor, *where], made))
        return made

    def _fit_reshape(self, operator: Any) -> None:
        """Write the new length into a RESHAPE, which has its shape as a constant."""
        graph = self._graph
        if graph.op_name(operator) == "SQUEEZE":
            self._fit_squeeze(operator)
        if graph.op_name(operator) != "RESHAPE":
            return
        shape = graph.shape(int(operator.outputs[0]))
        name = f"{graph.layer_name(int(operator.outputs[0]))}/shape"
        operator.inputs = np.asarray(
            [int(operator.inputs[0]), graph.add_constant(name, shape)], dtype=np.int32
        )
        if operator.builtinOptions is not None:
            operator.builtinOptions.newShape = np.asarray(shape, dtype=np.int32)

    def _fit_squeeze(self, operator: Any) -> None:
        """Name the axes of a SQUEEZE that left it open: a single new step must not go, too."""
        source = int(operator.inputs[0])
        if operator.builtinOptions.squeezeDims is None or not len(
            operator.builtinOptions.squeezeDims
        ):
            before = self._window_shapes[source]
            dims = [axis for axis, size in enumerate(before) if size == 1]
            operator.builtinOptions.squeezeDims = np.asarray(dims, dtype=np.int32)

    def _note_layer(self, index: int, name: str, window_macs: int) -> None:
        stretch = self._plan.stretches[index]
        n_steps, n_new = stretch.time.n_steps, stretch.n_new
        self._layers.append(
            Layer(
                name,
                n_steps,
                n_new,
                stretch.n_kept,
                stretch.time.stride,
                window_macs * n_new // n_steps,
                window_macs,
            )
        )

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


def _macs(graph: Graph, operator: Any) -> int:
    """Return the multiplications of a layer with weights in the window form, else 0."""
    name = graph.op_name(operator)
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    weights: Sequence[int] = graph.shape(int(operator.inputs[1]))
    output = graph.shape(int(operator.outputs[0]))
    # A depthwise filter has its channels last, the others their outputs first.
    per_output = np.prod(weights[1:-1]) if name == "DEPTHWISE_CONV_2D" else np.prod(weights[1:])
    return int(np.prod(output) * per_output)
