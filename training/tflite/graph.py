"""A .tflite file as tensors and operators that can be read, changed and written back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from kws.errors import ModelError
from training.tflite.serialize import IDENTIFIER, drop_unused, serialize, short_name, signature

DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.UINT8: np.uint8,
}
_TYPES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}


class Graph:
    """The one subgraph of a model, through the schema's object interface.

    A tensor is named by its index. `tensor` and `operators` return the objects of
    `ai_edge_litert.schema_py_generated`, which can be changed in place.
    """

    def __init__(self, content: bytes, *, where: str) -> None:
        if content[4:8] != IDENTIFIER:
            raise ModelError(f"{where}: expected a TFLite model, got another file")
        self.model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        if len(self.model.subgraphs) != 1:
            raise ModelError(f"{where}: expected one subgraph, got {len(self.model.subgraphs)}")
        self._graph = self.model.subgraphs[0]

    @property
    def operators(self) -> list[Any]:
        """The operators in the order in which they run; the list may be changed or replaced."""
        operators: list[Any] = self._graph.operators
        return operators

    @operators.setter
    def operators(self, operators: list[Any]) -> None:
        self._graph.operators = operators

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

    def tensor_name(self, index: int) -> str:
        """Return the name of a tensor as the file has it."""
        return str(self.tensor(index).name.decode())

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor; empty for a scalar."""
        shape = self.tensor(index).shape
        return () if shape is None else tuple(int(size) for size in shape)

    def n_bytes(self, index: int) -> int:
        """Return the size of a tensor's values."""
        item = np.dtype(DTYPES[self.tensor(index).type]).itemsize
        return int(np.prod(self.shape(index), dtype=np.int64)) * item

    def op_name(self, operator: Any) -> str:
        """Return the name of an operator as the schema spells it, such as ``CONV_2D``."""
        return str(flatbuffer_utils.opcode_to_name(self.model, operator.opcodeIndex))

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

    def is_quantized(self, index: int) -> bool:
        """Return whether a tensor has a scale."""
        return bool(self.scale_and_zero_point(index)[0])

    def layer_name(self, index: int) -> str:
        """Return the Keras layer that made a tensor, if the converter kept its name."""
        parts = self.tensor_name(index).split(";")[0].split("/")
        # Of a Keras model: functional_1/MODEL_1/LAYER_1/..., where _1 counts its calls.
        if len(parts) > 3 and parts[0].startswith("functional"):
            parts = parts[2:3]
        return re.sub(r"_\d+$", "", parts[-2] if len(parts) > 1 else parts[0])

    def add_tensor(self, name: str, shape: Sequence[int], *, like: int) -> int:
        """Return a new computed tensor with the type and quantization of `like`."""
        model = self.tensor(like)
        return self._append(name, shape, model.type, model.quantization)

    def add_float(self, name: str, shape: Sequence[int]) -> int:
        """Return a new computed float32 tensor."""
        return self._append(name, shape, schema.TensorType.FLOAT32, None)

    def add_int8(self, name: str, shape: Sequence[int], *, scale: float, zero_point: int) -> int:
        """Return a new computed int8 tensor."""
        return self._append(name, shape, schema.TensorType.INT8, _quantization(scale, zero_point))

    def add_constant(
        self, name: str, value: Sequence[int] | NDArray[Any], *, scale: float | None = None
    ) -> int:
        """Return a new constant tensor; a sequence becomes an int32 vector."""
        array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=np.int32)
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)
        quantization = None if scale is None else _quantization(scale, 0)
        return self._append(name, array.shape, _TYPES[array.dtype], quantization, data)

    def _append(
        self, name: str, shape: Sequence[int], kind: int, quantization: Any, data: Any = None
    ) -> int:
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = data
        self.model.buffers.append(buffer)
        tensor.name = name.encode()
        tensor.shape = np.asarray(shape, dtype=np.int32)
        tensor.type = kind
        tensor.quantization = quantization
        tensor.buffer = len(self.model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def add_operator(
        self, name: str, inputs: Sequence[int], output: int, options: Any, *, version: int = 1
    ) -> int:
        """Append an operator such as ``SOFTMAX`` with its ``SoftmaxOptionsT``; return `output`."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(schema.BuiltinOperator, name), version)
        operator.inputs = np.asarray(inputs, dtype=np.int32)
        operator.outputs = np.asarray([output], dtype=np.int32)
        operator.builtinOptionsType = getattr(
            schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
        operator.builtinOptions = options
        self.operators.append(operator)
        return output

    def _opcode(self, code: int, version: int) -> int:
        """Return the index of a builtin operator of at least this version; add it if needed."""
        for index, known in enumerate(self.model.operatorCodes):
            if flatbuffer_utils.get_builtin_code_from_operator_code(known) == code:
                known.version = max(known.version, version)
                return index
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode = code, min(code, 127)
        made.version = version
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1

    def absorb(self, other: Graph) -> dict[int, int]:
        """Take over the tensors of another graph; return their indices here, by those there.

        The operators of `other` stay there but refer to the operator codes of this graph.
        """
        place = {}
        for index, tensor in enumerate(other._graph.tensors):
            self.model.buffers.append(other.model.buffers[tensor.buffer])
            tensor.buffer = len(self.model.buffers) - 1
            self._graph.tensors.append(tensor)
            place[index] = len(self._graph.tensors) - 1
        builtin_code = flatbuffer_utils.get_builtin_code_from_operator_code
        codes = [
            self._opcode(builtin_code(code), code.version) for code in other.model.operatorCodes
        ]
        for operator in other.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]
        return place

    def rebuild(self, *, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """Return the file with these named inputs and outputs, without anything unused."""
        self._graph.inputs = np.asarray(list(inputs.values()), dtype=np.int32)
        self._graph.outputs = np.asarray(list(outputs.values()), dtype=np.int32)
        drop_unused(self.model)
        self.model.signatureDefs = [
            signature(
                dict(zip(inputs, self._graph.inputs)), dict(zip(outputs, self._graph.outputs))
            )
        ]
        return serialize(self.model)

    def compact(self) -> bytes:
        """Return the same file with short names and no vector stored twice."""
        kept = {*self.inputs, *self.outputs}
        for index, tensor in enumerate(self._graph.tensors):
            if index not in kept:
                tensor.name = short_name(tensor.name.decode()).encode()
        return serialize(self.model)


def _quantization(scale: float, zero_point: int) -> Any:
    made = schema.QuantizationParametersT()
    made.scale = np.array([scale], np.float32)
    made.zeroPoint = np.array([zero_point], np.int64)
    return made
