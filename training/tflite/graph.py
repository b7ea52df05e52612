"""A .tflite file as tensors and operators that can be read, changed and written back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from kws.errors import ModelError
from training.tflite.serialize import IDENTIFIER, packed, short_name

DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.UINT8: np.uint8,
}
_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


class Graph:
    """The one subgraph of a model, through the schema's object interface.

    Tensors are named by their index. The objects behind `tensor` and `operators` are those of
    `ai_edge_litert.schema_py_generated`, the schema that the runtimes read.
    """

    def __init__(self, content: bytes, *, where: str) -> None:
        if content[4:8] != IDENTIFIER:
            raise ModelError(f"{where}: expected a TFLite model, got a file that is none")
        self.model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        if len(self.model.subgraphs) != 1:
            raise ModelError(f"{where}: expected one subgraph, got {len(self.model.subgraphs)}")
        self._graph = self.model.subgraphs[0]

    @property
    def operators(self) -> list[Any]:
        """The operators in the order in which they run."""
        return list(self._graph.operators)

    @property
    def inputs(self) -> list[int]:
        """Tensors that the caller sets."""
        return [int(index) for index in self._graph.inputs]

    @property
    def outputs(self) -> list[int]:
        """Tensors that the caller reads."""
        return [int(index) for index in self._graph.outputs]

    def tensor(self, index: int) -> Any:
        """Return the schema's object of a tensor; `index` must not be negative."""
        assert index >= 0
        return self._graph.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor; empty for a scalar."""
        shape = self.tensor(index).shape
        return () if shape is None else tuple(int(size) for size in shape)

    def op_name(self, operator: Any) -> str:
        """Return the name of an operator as the schema spells it, such as ``CONV_2D``."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def constant(self, index: int) -> NDArray[Any] | None:
        """Return the value of a constant tensor, None for one that is computed."""
        if index < 0:
            return None
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        flat = np.frombuffer(bytes(data), dtype=DTYPES[tensor.type])
        return flat.reshape(self.shape(index))

    def scale_and_zero_point(self, index: int) -> tuple[list[float], list[int]]:
        """Return the quantization of a tensor; empty lists for a float one."""
        quantization = self.tensor(index).quantization
        if quantization is None or quantization.scale is None:
            return [], []
        return [float(x) for x in quantization.scale], [int(x) for x in quantization.zeroPoint]

    def layer_name(self, index: int) -> str:
        """Return the Keras layer that made a tensor, as far as the converter kept its name."""
        parts = self.tensor(index).name.decode().split(";")[0].split("/")
        # Of a Keras model: functional_1/MODEL_1/LAYER_1/..., where _1 counts its calls.
        if len(parts) > 3 and parts[0].startswith("functional"):
            parts = parts[2:3]
        return re.sub(r"_\d+$", "", parts[-2] if len(parts) > 1 else parts[0])

    def add_tensor(self, name: str, shape: Sequence[int], *, like: int) -> int:
        """Return a new computed tensor of the type and quantization of `like`."""
        model = self.tensor(like)
        return self.append(name, shape, model.type, model.quantization, schema.BufferT())

    def add_constant(self, name: str, value: Sequence[int]) -> int:
        """Return a new constant int32 vector."""
        buffer = schema.BufferT()
        array = np.asarray(value, dtype=np.int32)
        buffer.data = np.frombuffer(array.tobytes(), dtype=np.uint8)
        return self.append(name, array.shape, schema.TensorType.INT32, None, buffer)

    def append(
        self, name: str, shape: Sequence[int], kind: int, quantization: Any, buffer: Any
    ) -> int:
        """Return a new tensor of the schema's type `kind`, its content in `buffer`."""
        self.model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.asarray(shape, dtype=np.int32)
        tensor.type = kind
        tensor.quantization = quantization
        tensor.buffer = len(self.model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def operator(self, name: str, inputs: Sequence[int], output: int, *, axis: int = 0) -> Any:
        """Return a new CONCATENATION (along `axis`) or SLICE; it is not in the graph yet."""
        # Version 2 of each is the first that takes int8.
        code = getattr(schema.BuiltinOperator, name)
        made = schema.OperatorT()
        made.opcodeIndex = self.opcode(code, version=2)
        made.inputs = np.asarray(inputs, dtype=np.int32)
        made.outputs = np.asarray([output], dtype=np.int32)
        if name == "CONCATENATION":
            made.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
            made.builtinOptions = schema.ConcatenationOptionsT()
            made.builtinOptions.axis = axis
        else:
            made.builtinOptionsType = schema.BuiltinOptions.SliceOptions
            made.builtinOptions = schema.SliceOptionsT()
        return made

    def opcode(self, code: int, *, version: int) -> int:
        """Return the index of a builtin operator of at least this version, added if need be."""
        for index, known in enumerate(self.model.operatorCodes):
            if max(known.builtinCode, known.deprecatedBuiltinCode) == code:
                known.version = max(known.version, version)
                return index
        made = schema.OperatorCodeT()
        made.builtinCode = code
        made.deprecatedBuiltinCode = min(code, 127)
        made.version = version
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1

    def absorb(self, other: Graph) -> dict[int, int]:
        """Take over the tensors of another graph; return their indices here, by those there.

        Its operators are left where they are, but speak of this graph's operator codes.
        """
        place = {}
        for index, tensor in enumerate(other._graph.tensors):
            self.model.buffers.append(other.model.buffers[tensor.buffer])
            tensor.buffer = len(self.model.buffers) - 1
            self._graph.tensors.append(tensor)
            place[index] = len(self._graph.tensors) - 1
        codes = [
            self.opcode(max(code.builtinCode, code.deprecatedBuiltinCode), version=code.version)
            for code in other.model.operatorCodes
        ]
        for operator in other._graph.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]
        return place

    def rebuild(
        self, operators: list[Any], *, inputs: dict[str, int], outputs: dict[str, int]
    ) -> bytes:
        """Return the file with these operators, named inputs and outputs, and nothing unused."""
        graph = self._graph
        graph.operators = operators
        graph.inputs = np.asarray(list(inputs.values()), dtype=np.int32)
        graph.outputs = np.asarray(list(outputs.values()), dtype=np.int32)
        self._drop_unused()
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        signature.inputs = _named(inputs, graph.inputs)
        signature.outputs = _named(outputs, graph.outputs)
        self.model.signatureDefs = [signature]
        return packed(self.model)

    def compacted(self) -> bytes:
        """Return the file as it is, with short names and nothing in it twice."""
        kept = {*self.inputs, *self.outputs}
        for index, tensor in enumerate(self._graph.tensors):
            if index not in kept:
                tensor.name = short_name(tensor.name.decode()).encode()
        return packed(self.model)

    def _drop_unused(self) -> None:
        graph, model = self._graph, self.model
        lists = [op.inputs for op in graph.operators] + [op.outputs for op in graph.operators]
        lists += [graph.inputs, graph.outputs]
        used = sorted({int(index) for indices in lists for index in indices if index >= 0})
        place = {-1: -1, **{old: new for new, old in enumerate(used)}}
        for op in graph.operators:
            op.inputs = np.asarray([place[int(i)] for i in op.inputs], dtype=np.int32)
            op.outputs = np.asarray([place[int(i)] for i in op.outputs], dtype=np.int32)
        graph.inputs = np.asarray([place[int(i)] for i in graph.inputs], dtype=np.int32)
        graph.outputs = np.asarray([place[int(i)] for i in graph.outputs], dtype=np.int32)
        graph.tensors = [graph.tensors[old] for old in used]
        # Buffer 0 is empty by the schema's rule; metadata have buffers of their own.
        kept = {0, *(tensor.buffer for tensor in graph.tensors)}
        kept |= {item.buffer for item in model.metadata or ()}
        buffers = {old: new for new, old in enumerate(sorted(kept))}
        model.buffers = [model.buffers[old] for old in sorted(kept)]
        for item in (*graph.tensors, *(model.metadata or ())):
            item.buffer = buffers[item.buffer]
        codes = sorted({op.opcodeIndex for op in graph.operators})
        model.operatorCodes = [model.operatorCodes[old] for old in codes]
        for op in graph.operators:
            op.opcodeIndex = codes.index(op.opcodeIndex)


def _named(tensors: dict[str, int], placed: Sequence[int]) -> list[Any]:
    maps = []
    for name, index in zip(tensors, placed):
        item = schema.TensorMapT()
        item.name = name.encode()
        item.tensorIndex = int(index)
        maps.append(item)
    return maps
