"""Plan the stream form of a network: what is new at every hop, and what must be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kws.errors import ModelError
from training.tflite.graph import Graph
from training.tflite.time_semantics import Local, TimeAxis, local_rule


class NoStreamFormError(ModelError):
    """The network cannot be run on new frames alone, or not at this hop."""


@dataclass(frozen=True)
class Use:
    """What an operator reads of a tensor in a stream."""

    n_steps: int
    """Steps that it reads."""

    delay: int
    """Newer steps that it leaves alone: what a crop cut off at the end of the window."""

    @property
    def reach(self) -> int:
        """How far back from the newest step it reads."""
        return self.n_steps + self.delay


@dataclass
class Stretch:
    """A tensor that has time: its window, its new steps, and who reads how far back."""

    time: TimeAxis
    n_new: int
    """Steps that a hop adds."""

    uses: dict[int, Use] = field(default_factory=dict)
    """By the operator's position."""

    @property
    def n_kept(self) -> int:
        """Steps that must be carried from hop to hop."""
        return max([0, *(use.reach - self.n_new for use in self.uses.values())])


@dataclass(frozen=True)
class StreamPlan:
    """How a window form becomes a stream form."""

    hop_frames: int
    stretches: dict[int, Stretch]
    """By tensor; those that are not here have no time any more."""

    locals: dict[int, Local]
    """By operator position; the others see the whole window."""


def plan_stream(graph: Graph, *, hop_frames: int) -> StreamPlan:
    """Return which steps of which tensors a hop computes and keeps.

    Each operator that makes an output step of a few neighbouring input steps is run on the new
    steps only. The first that needs the whole window (the pooling over time, mostly) gets it
    from a ring of kept steps, and from there on all is as in the window form.

    Raises
    ------
    NoStreamFormError
        If the total stride in time does not divide `hop_frames`, or if the first operator
        needs the whole window already, so that nothing would be saved.
    """
    source = graph.inputs[0]
    n_frames = graph.shape(source)[1]
    if not 1 <= hop_frames < n_frames:
        raise NoStreamFormError(
            f"hop_frames: expected 1 to {n_frames - 1}, less than a window, got {hop_frames}"
        )
    times = {source: TimeAxis(axis=1, n_steps=n_frames, stride=1)}
    plan = StreamPlan(hop_frames, {source: Stretch(times[source], hop_frames)}, {})
    for position, operator in enumerate(graph.operators):
        inputs = [int(index) for index in operator.inputs if int(index) in times]
        if not inputs:
            continue
        local = local_rule(graph, operator, times)
        if local is None:
            for index in inputs:
                plan.stretches[index].uses[position] = Use(times[index].n_steps, 0)
            continue
        output = int(operator.outputs[0])
        times[output] = local.output
        plan.locals[position] = local
        n_new = _n_new(local.output, hop_frames)
        plan.stretches[output] = Stretch(local.output, n_new)
        for index in inputs:
            plan.stretches[index].uses[position] = _use(local, times[index], n_new)
    if not any(_computes(graph, graph.operators[position]) for position in plan.locals):
        raise NoStreamFormError(
            "this network has no stream form: its first layer pads in time or sees all of it; "
            "use valid padding (in ds_cnn: padding = 'valid')"
        )
    return plan


def _n_new(time: TimeAxis, hop_frames: int) -> int:
    if time.n_steps == 1:
        # Pooled over the whole window: anew at every hop, whatever its stride says.
        return 1
    if hop_frames % time.stride:
        raise NoStreamFormError(
            f"hop_frames: expected a multiple of the network's total stride in time, "
            f"{time.stride}, got {hop_frames}"
        )
    return min(hop_frames // time.stride, time.n_steps)


def _use(local: Local, source: TimeAxis, n_new: int) -> Use:
    """Return which steps of its input the newest `n_new` output steps are made of."""
    end = local.first + (local.output.n_steps - 1) * local.stride + local.kernel
    return Use((n_new - 1) * local.stride + local.kernel, delay=source.n_steps - end)


def _computes(graph: Graph, operator: Any) -> bool:
    """Return whether an operator has weights."""
    return graph.op_name(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
