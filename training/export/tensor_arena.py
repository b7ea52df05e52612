"""How much working memory TFLite Micro needs for a model, measured where tflite-micro installs."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kws.errors import ModelError
from training.tflite.graph import Graph

# One part in eight on top: CMSIS-NN's kernels need scratch memory, the reference kernels that are
# measured here do not.
MARGIN_PARTS = 8
ROUND_TO = 1024
ALIGNMENT = 16


@dataclass(frozen=True)
class TensorArena:
    """Working memory of a model."""

    least: int
    """Bytes that allocation and one run take."""

    how: str
    """How `least` was measured, for a reader of the generated source."""

    @property
    def n_bytes(self) -> int:
        """`least` and the margin, in whole kilobytes."""
        wanted = self.least + self.least // MARGIN_PARTS
        return -(-wanted // ROUND_TO) * ROUND_TO


def measure_arena(content: bytes, graph: Graph, *, where: str) -> TensorArena | None:
    """Return the arena that a model needs, or None where tflite-micro is not installed.

    The search goes up from the total of the recording allocator, which leaves out the memory of
    planning. Bisecting would not work: an arena that is far too small ends the process instead of
    raising an error.

    Raises
    ------
    ModelError
        If tflite-micro cannot run the model.
    """
    try:
        import tflite_micro
    except ImportError:
        return None

    def run(arena_size: int) -> Any:
        interpreter = tflite_micro.runtime.Interpreter.from_bytes(content, arena_size=arena_size)
        interpreter.invoke()
        return interpreter

    computed = [int(index) for operator in graph.operators for index in operator.outputs]
    enough = 2**20 + 4 * sum(map(graph.n_bytes, [*graph.inputs, *computed]))
    interpreter, stderr = _captured(partial(run, enough))
    if interpreter is None:
        reason = stderr.strip().splitlines()[0] if stderr.strip() else "no reason given"
        raise ModelError(f"{where}: TFLite Micro cannot run this model: {reason}")
    _, stderr = _captured(interpreter.print_allocations)
    total = re.search(r"allocation total (\d+) bytes", stderr)
    if total is None:
        return None
    sizes = range(-(-int(total.group(1)) // ALIGNMENT) * ALIGNMENT, enough, ALIGNMENT)
    least = next(size for size in sizes if _captured(partial(run, size))[0] is not None)
    how = (
        f"measured with tflite-micro {tflite_micro.__version__} ({platform.machine()}, "
        "64-bit pointers, reference kernels)"
    )
    return TensorArena(least, how)


def _captured(call: Callable[[], Any]) -> tuple[Any, str]:
    """Return `call()`, or None if it failed, and what C++ wrote to file descriptor 2 meanwhile."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            result = call()
        except RuntimeError:
            result = None
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        written.seek(0)
        return result, written.read().decode(errors="replace")
