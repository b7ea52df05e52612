"""What TFLite Micro calls the operators of a .tflite file when a program registers them."""

from __future__ import annotations

from collections.abc import Iterable

from kws.errors import ModelError

# ``tflite::MicroMutableOpResolver::AddNAME`` of the tensorflow/tflite-micro repository. Spelt out,
# because a name made up by rule would be found wrong only when the user's firmware is compiled.
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
_BY_KEY = {method.lower(): f"Add{method}" for method in METHODS.split()}


def resolver_methods(op_names: Iterable[str], *, where: str) -> list[str]:
    """Return the resolver's methods for operators such as ``CONV_2D``, each once, sorted.

    Raises
    ------
    ModelError
        If TFLite Micro has no kernel of that name, or it is a custom operator.
    """
    names = sorted(set(op_names))
    methods = {name: _BY_KEY.get(name.replace("_", "").lower()) for name in names}
    if unknown := [name for name, method in methods.items() if method is None]:
        raise ModelError(
            f"{where}: TFLite Micro has no operator {', '.join(unknown)}; "
            "build the network from others"
        )
    return sorted(method for method in methods.values() if method is not None)
