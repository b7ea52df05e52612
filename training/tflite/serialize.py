"""Write a .tflite file without anything unused and without storing any vector twice.

The converter stores a zero point of eight bytes for every channel of every convolution and again
for its bias, although int8 weights always have it at 0. It also gives each tensor a name as long
as its history in the graph. That is 12 of the 54 kB of a network with 24,000 weights, and 33 of
the 235 kB of one with 175,000. FlatBuffers let any number of tables point to one vector, and
runtimes use names in messages only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
# The schema's own rule for weights ("force_align: 16"), which the Python binding leaves out.
DATA_ALIGNMENT = 16


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes equal vectors of numbers once."""

    def __init__(self, initial_size: int = 1 << 20) -> None:
        super().__init__(initial_size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - the binding's name
        """Return the offset of a vector; an equal one that is already written is used again."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype.itemsize == 1:
                # The file is written from its end, so this aligns the first byte of the data.
                self.Prep(DATA_ALIGNMENT, x.nbytes)
            self._written[key] = int(super().CreateNumpyVector(x))
        return self._written[key]


def serialize(model: Any) -> bytes:
    """Return the file of the schema's `ModelT`, with equal vectors written once."""
    builder = SharingBuilder()
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def short_name(name: str) -> str:
    """Return LAYER/OPERATOR of a tensor name that holds the whole path through a Keras model.

    Examples
    --------
    >>> short_name("functional_1/net_1/head_relu_1/Relu;functional_1/net_1/head_bn_1/add")
    'head_relu_1/Relu'
    """
    parts = name.split(";")[0].split("/")
    if len(parts) > 3 and parts[0].startswith("functional"):
        return "/".join(parts[2:])
    return "/".join(parts)


def drop_unused(model: Any) -> None:
    """Remove the tensors, buffers and operator codes that no operator of the one graph uses."""
    (graph,) = model.subgraphs
    lists = [op.inputs for op in graph.operators] + [op.outputs for op in graph.operators]
    lists += [graph.inputs, graph.outputs]
    used = sorted({int(index) for indices in lists for index in indices if index >= 0})
    place = {-1: -1, **{old: new for new, old in enumerate(used)}}
    for item in (*graph.operators, graph):
        item.inputs = np.asarray([place[int(i)] for i in item.inputs], dtype=np.int32)
        item.outputs = np.asarray([place[int(i)] for i in item.outputs], dtype=np.int32)
    graph.tensors = [graph.tensors[old] for old in used]
    # Buffer 0 is empty by the schema's rule; metadata have buffers of their own.
    holders = (*graph.tensors, *(model.metadata or ()))
    kept = sorted({0, *(item.buffer for item in holders)})
    model.buffers = [model.buffers[old] for old in kept]
    for item in holders:
        item.buffer = kept.index(item.buffer)
    codes = sorted({op.opcodeIndex for op in graph.operators})
    model.operatorCodes = [model.operatorCodes[old] for old in codes]
    for op in graph.operators:
        op.opcodeIndex = codes.index(op.opcodeIndex)


def signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
    """Return the signature ``serving_default`` with these named tensors."""
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = b"serving_default", 0
    made.inputs, made.outputs = _tensor_maps(inputs), _tensor_maps(outputs)
    return made


def _tensor_maps(tensors: Mapping[str, int]) -> list[Any]:
    maps = []
    for name, index in tensors.items():
        item = schema.TensorMapT()
        item.name, item.tensorIndex = name.encode(), int(index)
        maps.append(item)
    return maps
