"""A .tflite file with nothing in it twice.

The converter writes for every channel of every convolution, and once more for its bias, a zero
point of eight bytes that int8 weights always have at 0, and gives each tensor a name as long as
its history in the graph: 12 of the 54 kB of a network with 24,000 weights, 33 of the 235 kB of one
with 175,000. FlatBuffers let any number of tables point to one vector, and runtimes read names
nowhere but in messages.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
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
        """Return the place of a vector, an older one where there is an equal one."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype.itemsize == 1:
                # What follows is written before it: whole, this aligns the data themselves.
                self.Prep(DATA_ALIGNMENT, x.nbytes)
            self._written[key] = int(super().CreateNumpyVector(x))
        return self._written[key]


def packed(model: Any) -> bytes:
    """Return the file of the schema's `ModelT`, with equal vectors written once."""
    builder = SharingBuilder()
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def short_name(name: str) -> str:
    """Return LAYER/OPERATOR of a name that tells the way through a Keras model.

    Examples
    --------
    >>> short_name("functional_1/net_1/head_relu_1/Relu;functional_1/net_1/head_bn_1/add")
    'head_relu_1/Relu'
    """
    parts = name.split(";")[0].split("/")
    if len(parts) > 3 and parts[0].startswith("functional"):
        return "/".join(parts[2:])
    return "/".join(parts)
