"""Plan a streaming model: the steps of each tensor that a hop computes, and those it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from kws.errors import ModelError
from training.tflite.cost import operator_macs
from training.tflite.graph import Graph
from training.tflite.time_semantics import LocalOp, TimeAxis, local_op


class NotStreamableError(ModelError):
    """The network cannot run on new frames alone, or not at this hop."""


@dataclass(frozen=True)
class Read:
    """Which steps of a tensor an operator reads in a stream."""

    n_steps: int
    delay: int
    """Newer steps that it does not read, because a crop removed them from the window's end."""

    @property
    def reach(self) -> int:
        """Steps from the oldest one it reads to the newest one."""
        return self.n_steps + self.delay


@dataclass
class TimedTensor:
    """A tensor with a time axis: its length, its new steps, and which operators read it."""

    time: TimeAxis
    n_new: int
    """Steps that a hop adds."""

    reads: dict[int, Read] = field(default_factory=dict)
    """By the position of the operator."""

    @property
    def n_kept(self) -> int:
        """Steps that must be kept from hop to hop."""
        return max([0, *(read.reach - self.n_new for read in self.reads.values())])


@dataclass(frozen=True)
class StreamPlan:
    """How a non-streaming model becomes a streaming one."""

    timed: dict[int, TimedTensor]
    """By tensor; the tensors that are missing have no time axis."""

    local_ops: dict[int, LocalOp]
    """By the position of the operator; the others see the whole window."""


def plan_stream(graph: Graph, *, hop_frames: int) -> StreamPlan:
    """Return the steps of each tensor that a hop computes and keeps.

    An operator whose output steps depend on a few neighbouring input steps runs on the new steps
    only. The first operator that needs the whole window, mostly the pooling over time, gets it
    from kept steps. From there on the graph is that of the non-streaming model.

    Raises
    ------
    NotStreamableError
        If the total stride in time does not divide `hop_frames`, or if the first layer already
        needs the whole window.
    """
    source = graph.inputs[0]
    n_frames = graph.shape(source)[1]
    if not 1 <= hop_frames < n_frames:
        raise NotStreamableError(
            f"hop_frames: expected 1 to {n_frames - 1}, less than a window, got {hop_frames}"
        )
    times = {source: TimeAxis(axis=1, n_steps=n_frames, stride=1)}
    plan = StreamPlan({source: TimedTensor(times[source], hop_frames)}, {})
    for position, operator in enumerate(graph.operators):
        inputs = [int(index) for index in operator.inputs if int(index) in times]
        if not inputs:
            continue
        local = local_op(graph, operator, times)
        if local is None:
            for index in inputs:
                plan.timed[index].reads[position] = Read(times[index].n_steps, 0)
            continue
        output = int(operator.outputs[0])
        times[output] = local.output
        plan.local_ops[position] = local
        n_new = _n_new(local.output, hop_frames)
        plan.timed[output] = TimedTensor(local.output, n_new)
        for index in inputs:
            plan.timed[index].reads[position] = _read(local, times[index], n_new)
    if not any(operator_macs(graph, graph.operators[position]) for position in plan.local_ops):
        raise NotStreamableError(
            "this network cannot stream: its first layer pads in time or sees the whole window; "
            "use valid padding (in ds_cnn: padding = 'valid')"
        )
    return plan


def _n_new(time: TimeAxis, hop_frames: int) -> int:
    if time.n_steps == 1:
        # Pooled over the whole window, so computed at every hop, whatever its stride is.
        return 1
    if hop_frames % time.stride:
        raise NotStreamableError(
            f"hop_frames: expected a multiple of the network's total stride in time, "
            f"{time.stride}, got {hop_frames}"
        )
    return min(hop_frames // time.stride, time.n_steps)


def _read(local: LocalOp, source: TimeAxis, n_new: int) -> Read:
    """Return the input steps that the newest `n_new` output steps depend on."""
    end = local.first + (local.output.n_steps - 1) * local.stride + local.kernel
    return Read((n_new - 1) * local.stride + local.kernel, delay=source.n_steps - end)
