"""What a program for TFLite Micro must know of a model, read from its .tflite file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kws.errors import ModelError
from kws.inference.stream_model import NEXT, STATE
from kws.manifest import ModelManifest, StreamForm, WindowForm
from training.export.tensor_arena import TensorArena, measure_arena
from training.tflite.graph import DTYPES, Graph

# ``tflite::MicroMutableOpResolver::AddNAME`` of the tensorflow/tflite-micro repository. Spelt out,
# because a name derived by a rule would fail only when the user's firmware is compiled.
METHODS = """
    Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchMatMul BatchToSpaceNd
    BroadcastArgs BroadcastTo CallOnce Cast Ceil Concatenation Conv2D Cos CumSum DepthToSpace
    DepthwiseConv2D Dequantize Div Elu Equal Exp ExpandDims Fill Floor FloorDiv FloorMod
    FullyConnected Gather GatherNd Greater GreaterEqual HardSwish If L2Normalization L2Pool2D
    LeakyRelu Less LessEqual Log LogicalAnd LogicalNot LogicalOr Logistic LogSoftmax MaxPool2D
    Maximum Mean Minimum MirrorPad Mul Neg NotEqual Pack Pad PadV2 Prelu Quantize ReadVariable
    ReduceMax Relu Relu6 Reshape ResizeBilinear ResizeNearestNeighbor Round Rsqrt SelectV2 Shape
    Sin Slice Softmax SpaceToBatchNd SpaceToDepth Split SplitV Sqrt Square SquaredDifference
    Squeeze StridedSlice Sub Sum Svdf Tanh Transpose TransposeConv UnidirectionalSequenceLSTM
    Unpack VarHandle While ZerosLike
"""
_METHOD_OF = {method.lower(): f"Add{method}" for method in METHODS.split()}


@dataclass(frozen=True)
class MicroTensor:
    """An int8 tensor that the program sets or reads."""

    name: str
    place: int
    """Its number among the interpreter's inputs or outputs."""

    shape: tuple[int, ...]
    n_bytes: int
    scale: float
    zero_point: int


@dataclass(frozen=True)
class MicroModel:
    """A model that TFLite Micro can run."""

    manifest: ModelManifest
    form: WindowForm | StreamForm
    content: bytes
    frames: MicroTensor
    posterior: MicroTensor
    states: tuple[tuple[MicroTensor, MicroTensor], ...]
    """An output after one run, which is an input of the next one: (input, output)."""

    methods: list[str]
    """Of the op resolver, one for each operator."""

    arena: TensorArena | None
    """None if it could not be measured."""

    @property
    def n_warm_up_hops(self) -> int:
        """Hops until the first full window; earlier posteriors of a stream are meaningless."""
        assert isinstance(self.form, StreamForm)
        return math.ceil(self.manifest.window.window_frames / self.form.hop_frames)


def read_micro_model(manifest: ModelManifest, form: WindowForm | StreamForm) -> MicroModel:
    """Return the streaming or the non-streaming model of a manifest, as TFLite Micro sees it.

    Raises
    ------
    ManifestError
        If the file is not the manifest's.
    ModelError
        If it is not int8 throughout, does not fit the manifest, or has an operator that TFLite
        Micro lacks.
    """
    where = str(manifest.path.parent / form.file)
    content = manifest.read_form(form)
    graph = Graph(content, where=where)
    _check_int8(graph, where=where)
    inputs = [_tensor(graph, index, place) for place, index in enumerate(graph.inputs)]
    outputs = [_tensor(graph, index, place) for place, index in enumerate(graph.outputs)]
    by_name = {tensor.name: tensor for tensor in outputs}
    states = tuple(
        (tensor, by_name[f"{NEXT}{tensor.name[len(STATE) :]}"])
        for tensor in inputs
        if tensor.name.startswith(STATE)
    )
    frames = [tensor for tensor in inputs if not tensor.name.startswith(STATE)]
    posteriors = [tensor for tensor in outputs if not tensor.name.startswith(NEXT)]
    n_frames = form.window_frames if isinstance(form, WindowForm) else form.hop_frames
    expected = ((1, *manifest.frontend.shape(n_frames)), (1, len(manifest.labels)))
    found = [tensor.shape for tensor in (*frames, *posteriors)]
    if [*expected] != found:
        raise ModelError(
            f"{where}: {manifest.path.name} expects input {expected[0]} and output {expected[1]}, "
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
        arena=measure_arena(content, graph, where=where),
    )


def _check_int8(graph: Graph, *, where: str) -> None:
    used = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used |= {int(index) for index in (*operator.inputs, *operator.outputs) if index >= 0}
    for index in sorted(used):
        dtype = DTYPES.get(graph.tensor(index).type)
        border = index in graph.inputs or index in graph.outputs
        if dtype is None or dtype().dtype.kind == "f" or (border and dtype().dtype.name != "int8"):
            kind = dtype.__name__ if dtype else f"type {graph.tensor(index).type}"
            raise ModelError(
                f"{where}: expected an int8 model, got a {kind} tensor "
                f"{graph.tensor_name(index)!r}; kws-train export makes int8 models"
            )


def _tensor(graph: Graph, index: int, place: int) -> MicroTensor:
    scales, zero_points = graph.scale_and_zero_point(index)
    return MicroTensor(
        name=graph.tensor_name(index),
        place=place,
        shape=graph.shape(index),
        n_bytes=graph.n_bytes(index),
        scale=scales[0] if scales else 0.0,
        zero_point=zero_points[0] if zero_points else 0,
    )


def resolver_methods(op_names: Iterable[str], *, where: str) -> list[str]:
    """Return the resolver's methods for operators such as ``CONV_2D``, each once, sorted.

    Raises
    ------
    ModelError
        If TFLite Micro has no kernel of that name, or it is a custom operator.
    """
    names = sorted(set(op_names))
    methods = {name: _METHOD_OF.get(name.replace("_", "").lower()) for name in names}
    if unknown := [name for name, method in methods.items() if method is None]:
        raise ModelError(
            f"{where}: TFLite Micro has no operator {', '.join(unknown)}; "
            "build the network without it"
        )
    return sorted(method for method in methods.values() if method is not None)
