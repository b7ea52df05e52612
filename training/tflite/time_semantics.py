"""Which input steps each output step of a TFLite operator depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from training.tflite.graph import Graph


@dataclass(frozen=True)
class TimeAxis:
    """The time axis of a tensor."""

    axis: int
    n_steps: int
    """Steps in a whole window."""

    stride: int
    """Frames from one step to the next."""


@dataclass(frozen=True)
class LocalOp:
    """An operator whose output steps each depend on a few neighbouring input steps."""

    output: TimeAxis
    kernel: int = 1
    """Input steps that one output step depends on."""

    stride: int = 1
    """Input steps from one output step to the next."""

    first: int = 0
    """First input step of output step 0; above 0 for a crop."""


# Returns None if the operator needs the whole window.
Rule = Callable[[Graph, Any, "dict[int, TimeAxis]"], "LocalOp | None"]


def local_op(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """Return how an operator treats time, or None if it needs the whole window at once.

    Parameters
    ----------
    graph : Graph
        The non-streaming model.
    operator
        One of its operators.
    times : dict of int to TimeAxis
        The time axis of every tensor that has one; tensors after a pooling over time have none.
    """
    name = graph.op_name(operator)
    timed = [place for place, index in enumerate(operator.inputs) if int(index) in times]
    # Most rules look at their first input only; they cannot handle weights computed from audio.
    if name not in RULES or (name not in MANY_INPUTS and timed != [0]):
        return None
    return RULES[name](graph, operator, times)


def is_crop(graph: Graph, operator: Any) -> bool:
    """Return whether an operator only removes steps; in a stream it becomes a delay."""
    return graph.op_name(operator) in ("STRIDED_SLICE", "SLICE")


def _convolution(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """CONV_2D, DEPTHWISE_CONV_2D and the 2-D poolings, valid in time."""
    time = times[int(operator.inputs[0])]
    if time.axis not in (1, 2):
        return None
    options = operator.builtinOptions
    side = "H" if time.axis == 1 else "W"
    if hasattr(options, "filterHeight"):
        kernel = options.filterHeight if side == "H" else options.filterWidth
    else:
        kernel = graph.shape(int(operator.inputs[1]))[time.axis]
    stride = int(getattr(options, f"stride{side}"))
    kernel = (kernel - 1) * int(getattr(options, f"dilation{side}Factor", 1) or 1) + 1
    if options.padding != schema.Padding.VALID and (kernel > 1 or stride > 1):
        return None
    n_steps = graph.shape(int(operator.outputs[0]))[time.axis]
    return LocalOp(TimeAxis(time.axis, n_steps, time.stride * stride), kernel, stride)


def _elementwise(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """Element-wise operators, with broadcasting of constants."""
    output = graph.shape(int(operator.outputs[0]))
    found = None
    for index in (int(i) for i in operator.inputs if i >= 0):
        shape = graph.shape(index)
        offset = len(output) - len(shape)
        time = times.get(index)
        if time is not None:
            aligned = TimeAxis(time.axis + offset, time.n_steps, time.stride)
            if found not in (None, aligned):
                return None
            found = aligned
    if found is None or found.n_steps != output[found.axis]:
        return None
    for index in (int(i) for i in operator.inputs if i >= 0):
        axis = found.axis - (len(output) - len(graph.shape(index)))
        if index in times or axis < 0 or graph.shape(index)[axis] == 1:
            continue
        return None
    if any(graph.constant(int(i)) is None and int(i) not in times for i in operator.inputs):
        # Computed from a whole window, such as a squeeze-and-excite gate.
        return None
    return LocalOp(found)


def _crop(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """STRIDED_SLICE and SLICE that crop in time only."""
    source = int(operator.inputs[0])
    time = times[source]
    before, after = graph.shape(source), graph.shape(int(operator.outputs[0]))
    begin = graph.constant(int(operator.inputs[1]))
    if begin is None or len(before) != len(after) or len(begin) != len(before):
        return None
    others = [axis for axis in range(len(before)) if axis != time.axis]
    if any(before[axis] != after[axis] for axis in others):
        return None
    first = int(begin[time.axis])
    if graph.op_name(operator) == "STRIDED_SLICE":
        steps = graph.constant(int(operator.inputs[3]))
        options = operator.builtinOptions
        others_masks = options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask
        # A negative step reverses an axis and keeps the shape.
        if steps is None or (steps != 1).any() or others_masks:
            return None
        if options.beginMask & (1 << time.axis):
            first = 0
        first = max(0, first + time.n_steps) if first < 0 else first
    return LocalOp(TimeAxis(time.axis, after[time.axis], time.stride), first=first)


def _reshape(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """RESHAPE, EXPAND_DIMS and SQUEEZE that keep the time axis."""
    source = int(operator.inputs[0])
    time = times[source]
    before, after = graph.shape(source), graph.shape(int(operator.outputs[0]))
    for axis, size in enumerate(after):
        same_before = np.prod(after[:axis]) == np.prod(before[: time.axis])
        if size == time.n_steps and same_before:
            return LocalOp(TimeAxis(axis, time.n_steps, time.stride))
    return None


def _transpose(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    time = times[int(operator.inputs[0])]
    order = graph.constant(int(operator.inputs[1]))
    if order is None:
        return None
    return LocalOp(TimeAxis(list(order).index(time.axis), time.n_steps, time.stride))


def _reduce(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """MEAN, SUM and REDUCE_MAX over anything but time, such as frequency."""
    source = int(operator.inputs[0])
    time = times[source]
    axes = graph.constant(int(operator.inputs[1]))
    if axes is None:
        return None
    reduced = {int(axis) % len(graph.shape(source)) for axis in np.ravel(axes)}
    if time.axis in reduced:
        return None
    lost = 0 if operator.builtinOptions.keepDims else sum(axis < time.axis for axis in reduced)
    return LocalOp(TimeAxis(time.axis - lost, time.n_steps, time.stride))


def _concatenate(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """CONCATENATION along anything but time."""
    found = {times.get(int(index)) for index in operator.inputs}
    first = times[next(int(i) for i in operator.inputs if int(i) in times)]
    axis = operator.builtinOptions.axis % len(graph.shape(int(operator.outputs[0])))
    return LocalOp(first) if found == {first} and axis != first.axis else None


def _pad(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """PAD and PADV2 along anything but time."""
    time = times[int(operator.inputs[0])]
    widths = graph.constant(int(operator.inputs[1]))
    return LocalOp(time) if widths is not None and not widths[time.axis].any() else None


def _last_axis(graph: Graph, operator: Any, times: dict[int, TimeAxis]) -> LocalOp | None:
    """SOFTMAX, and FULLY_CONNECTED that keeps its leading axes: both work on the last axis."""
    source = int(operator.inputs[0])
    time = times[source]
    same_rank = len(graph.shape(source)) == len(graph.shape(int(operator.outputs[0])))
    return LocalOp(time) if same_rank and time.axis != len(graph.shape(source)) - 1 else None


_ELEMENTWISE = (
    "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 "
    "LEAKY_RELU ELU GELU LOGISTIC TANH HARD_SWISH ABS NEG SQUARE SQRT RSQRT EXP LOG QUANTIZE "
    "DEQUANTIZE CAST"
)
MANY_INPUTS = {*_ELEMENTWISE.split(), "CONCATENATION"}
_NAMES: dict[Rule, str] = {
    _convolution: "CONV_2D DEPTHWISE_CONV_2D AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    _elementwise: _ELEMENTWISE,
    _crop: "STRIDED_SLICE SLICE",
    _reshape: "RESHAPE EXPAND_DIMS SQUEEZE",
    _transpose: "TRANSPOSE",
    _reduce: "MEAN SUM REDUCE_MAX REDUCE_MIN",
    _concatenate: "CONCATENATION",
    _pad: "PAD PADV2 MIRROR_PAD",
    _last_axis: "SOFTMAX LOG_SOFTMAX FULLY_CONNECTED",
}
RULES = {name: rule for rule, names in _NAMES.items() for name in names.split()}
