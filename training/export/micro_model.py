"""What a program for TFLite Micro must know of one form of a model, read from its file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kws.errors import ModelError
from kws.manifest import ModelManifest, StreamForm, WindowForm
from training.export.micro_ops import resolver_methods
from training.export.tensor_arena import TensorArena, n_bytes, tensor_arena
from training.tflite.graph import DTYPES, Graph

# How a stream form names its state tensors (training/tflite/stream_rewrite.py).
STATE, NEXT = "state/", "next/"


@dataclass(frozen=True)
class MicroTensor:
    """An int8 tensor that the program sets or reads."""

    name: str
    place: int
    """Its number among the interpreter's inputs, or its outputs."""

    shape: tuple[int, ...]
    n_bytes: int
    scale: float
    zero_point: int


@dataclass(frozen=True)
class MicroState:
    """State that is read from an output after a run and set as an input before the next one."""

    input: MicroTensor
    output: MicroTensor


@dataclass(frozen=True)
class MicroModel:
    """One form of a model, checked to be one that TFLite Micro can run."""

    manifest: ModelManifest
    form: WindowForm | StreamForm
    content: bytes
    frames: MicroTensor
    posterior: MicroTensor
    states: tuple[MicroState, ...]
    methods: list[str]
    """Of the op resolver, each for one operator."""

    arena: TensorArena

    @property
    def n_warm_up_hops(self) -> int:
        """Hops that the first full window takes; earlier posteriors of a stream mean nothing."""
        assert isinstance(self.form, StreamForm)
        return math.ceil(self.manifest.window.window_frames / self.form.hop_frames)


def read_micro_model(manifest: ModelManifest, form: WindowForm | StreamForm) -> MicroModel:
    """Return one form of a model as a program for TFLite Micro sees it.

    Raises
    ------
    ManifestError
        If the file is not the manifest's.
    ModelError
        If it is not int8 throughout, does not fit the manifest, or needs what TFLite Micro
        does not have.
    """
    where = str(manifest.path.parent / form.file)
    content = manifest.read_form(form)
    graph = Graph(content, where=where)
    _check_int8(graph, where=where)
    inputs = [_tensor(graph, index, place) for place, index in enumerate(graph.inputs)]
    outputs = [_tensor(graph, index, place) for place, index in enumerate(graph.outputs)]
    states = _states(inputs, outputs, where=where)
    frames = [tensor for tensor in inputs if not tensor.name.startswith(STATE)]
    posteriors = [tensor for tensor in outputs if not tensor.name.startswith(NEXT)]
    n_frames = form.window_frames if isinstance(form, WindowForm) else form.hop_frames
    expected = ((1, *manifest.frontend.shape(n_frames)), (1, len(manifest.labels)))
    found = [tensor.shape for tensor in (*frames, *posteriors)]
    if [*expected] != found:
        raise ModelError(
            f"{where}: {manifest.path.name} says input {expected[0]} and output {expected[1]}, "
            f"got {', '.join(map(str, found))}"
        )
    methods = resolver_methods(map(graph.op_name, graph.operators), where=where)
    return MicroModel(
        manifest=manifest,
        form=form,
        content=content,
        frames=frames[0],
        posterior=posteriors[0],
        states=states,
        methods=methods,
        arena=tensor_arena(content, graph, where=where),
    )


def _check_int8(graph: Graph, *, where: str) -> None:
    used: list[Any] = [*graph.inputs, *graph.outputs]
    for operator in graph.operators:
        used += [*operator.inputs, *operator.outputs]
    for index in sorted({int(index) for index in used if index >= 0}):
        dtype = DTYPES.get(graph.tensor(index).type)
        border = index in graph.inputs or index in graph.outputs
        if dtype is None or dtype().dtype.kind == "f" or (border and dtype().dtype.name != "int8"):
            kind = dtype.__name__ if dtype else f"type {graph.tensor(index).type}"
            raise ModelError(
                f"{where}: expected an int8 model, got a {kind} tensor "
                f"{graph.tensor(index).name.decode()!r}; kws-train export makes int8 models"
            )


def _tensor(graph: Graph, index: int, place: int) -> MicroTensor:
    scales, zero_points = graph.scale_and_zero_point(index)
    return MicroTensor(
        name=graph.tensor(index).name.decode(),
        place=place,
        shape=graph.shape(index),
        n_bytes=n_bytes(graph, index),
        scale=scales[0] if scales else 0.0,
        zero_point=zero_points[0] if zero_points else 0,
    )


def _states(
    inputs: list[MicroTensor], outputs: list[MicroTensor], *, where: str
) -> tuple[MicroState, ...]:
    """Return the pairs of state tensors, which must be equal but for their names."""
    following = {tensor.name[len(NEXT) :]: tensor for tensor in outputs}
    states = []
    for tensor in inputs:
        if not tensor.name.startswith(STATE):
            continue
        after = following.get(tensor.name[len(STATE) :])
        if after is None or (after.shape, after.scale, after.zero_point) != (
            tensor.shape,
            tensor.scale,
            tensor.zero_point,
        ):
            raise ModelError(
                f"{where}: expected an output {NEXT}{tensor.name[len(STATE) :]} with the shape "
                f"and scale of {tensor.name}, got {'another one' if after else 'none'}"
            )
        states.append(MicroState(tensor, after))
    return tuple(states)
