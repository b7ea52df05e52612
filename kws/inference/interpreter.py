"""Pick and open a TFLite runtime; nothing else in this package imports one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, MissingDependencyError, ModelError

# Module of each runtime, in the order of preference: LiteRT runs int8 ten times as fast on
# x86_64; tflite-runtime is the only one for 32-bit ARM; TensorFlow is the last resort.
RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
KERNELS = ("default", "reference")
MAGIC = b"TFL3"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model."""

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: Any
    scale: float
    """0 for a float tensor."""

    zero_point: int


class _Memory:
    """A stretch of memory that numpy can lay an array on, and whom it belongs to."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self.__array_interface__ = interface
        # The array keeps this object, and so the memory lives as long as the array.
        self.owner = owner


@dataclass(frozen=True)
class OpenModel:
    """A model ready to run."""

    interpreter: Any
    runtime: str
    kernels: str
    n_threads: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def memory(self, tensor: Tensor) -> NDArray[Any]:
        """Return an input or output as an array on the interpreter's own memory.

        What is written into it is the input of the next invoke, what stands in it is the output
        of the last one; nothing is copied and nothing allocated, which the interpreter's
        `set_tensor` and `get_tensor` do at every call. The memory stays where it is until tensors
        are allocated anew, which only a change of shapes brings about; a model here never does.
        The interpreter's `tensor` gives such an array too, but forbids to keep it.
        """
        view = self.interpreter.tensor(tensor.index)()
        return np.asarray(_Memory(dict(view.__array_interface__), self.interpreter))

    @property
    def runtime_version(self) -> str:
        """Version of the runtime's distribution; looked up when asked, for that is slow."""
        return _version(self.runtime) or "?"


def installed() -> list[str]:
    """Return the runtimes that are installed, best first; none is imported."""
    return [name for name in RUNTIMES if _version(name) is not None]


def open_model(
    content: bytes,
    *,
    where: str,
    runtime: str | None = None,
    kernels: str = "default",
    n_threads: int = 1,
) -> OpenModel:
    """Return an interpreter on a .tflite file's bytes, tensors allocated.

    Parameters
    ----------
    content : bytes
        The whole file. The runtimes trust it, so check where it came from first.
    where : str
        Name for error messages.
    runtime : str, optional
        One of `RUNTIMES`; without it ``KWS_RUNTIME`` from the environment, then the first one
        installed.
    kernels : {"default", "reference"}
        ``reference`` gives the same int8 values on every machine, at a tenth of the speed.
    n_threads : int
        More threads than free cores make it slower, not faster.

    Raises
    ------
    MissingDependencyError
        If the runtime is not installed, or does not fit the installed numpy.
    ModelError
        If the content is no model, or the runtime cannot run it.
    """
    if kernels not in KERNELS:
        raise ConfigError(f"kernels: expected one of {', '.join(KERNELS)}, got {kernels!r}")
    name, module = _import(runtime or os.environ.get("KWS_RUNTIME") or None)
    if content[4:8] != MAGIC:
        raise ModelError(f"{where}: expected a TFLite model, got a file that is none")
    resolvers = module.OpResolverType
    resolver = resolvers.BUILTIN_REF if kernels == "reference" else resolvers.AUTO
    try:
        interpreter = _quietly(
            lambda: module.Interpreter(
                model_content=content,
                num_threads=n_threads,
                experimental_op_resolver_type=resolver,
            )
        )
        _quietly(interpreter.allocate_tensors)
    except SystemError as error:
        raise MissingDependencyError(
            f"{name} {_version(name)}: it does not work with the installed numpy "
            f"{_version('numpy')}; pip install 'numpy<2', or pip install ai-edge-litert"
        ) from error
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{where}: {name} cannot run this model: {reason}") from error
    return OpenModel(
        interpreter=interpreter,
        runtime=name,
        kernels=kernels,
        n_threads=n_threads,
        inputs=tuple(_tensor(detail) for detail in interpreter.get_input_details()),
        outputs=tuple(_tensor(detail) for detail in interpreter.get_output_details()),
    )


def _import(wanted: str | None) -> tuple[str, Any]:
    """Return name and module of the runtime to use."""
    if wanted is not None and wanted not in RUNTIMES:
        raise ConfigError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {wanted!r}")
    broken: MissingDependencyError | None = None
    for name in [wanted] if wanted else RUNTIMES:
        try:
            return name, import_module(RUNTIMES[name])
        except (ImportError, AttributeError) as error:
            top = RUNTIMES[name].partition(".")[0]
            if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith(top):
                continue
            # Installed, but not for this machine: another one may still work.
            broken = MissingDependencyError(f"{name}: installed but cannot be imported: {error}")
    if broken is not None:
        raise broken
    if wanted:
        have = ", ".join(installed()) or "none"
        raise MissingDependencyError(
            f"runtime {wanted}: not installed (installed: {have}); pip install {wanted}"
        )
    raise MissingDependencyError(
        "no TFLite runtime is installed; pip install ai-edge-litert (Python 3.10 and newer, "
        "64 bit) or pip install 'tflite-runtime' 'numpy<2' (Python 3.9 to 3.11)"
    )


def _version(distribution: str) -> str | None:
    # Importing metadata takes longer than importing the runtime.
    from importlib import metadata

    names = (
        (distribution, f"{distribution}-cpu") if distribution == "tensorflow" else (distribution,)
    )
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    return Tensor(
        name=detail["name"],
        index=detail["index"],
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=detail["dtype"],
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _quietly(call: Callable[[], Any]) -> Any:
    """Return `call()` with the C++ runtime's chatter on file descriptor 2 left out.

    The runtimes write an INFO line for every model they open; no setting silences it.
    """
    try:
        saved = os.dup(2)
    except OSError:
        # Standard error is closed: there is nothing to keep quiet.
        return call()
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        return call()
    finally:
        os.dup2(saved, 2)
        os.close(silence)
        os.close(saved)
