"""Choose a TFLite runtime and open a model; the only module that imports a runtime."""

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
    """A memory area that numpy can view as an array, and its owner."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self.__array_interface__ = interface
        # The array holds a reference to this object, so the memory lives as long as the array.
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

        Unlike `set_tensor` and `get_tensor` of the interpreter, this copies and allocates nothing
        per call. The memory moves only when tensors are reallocated after a change of shapes,
        which never happens here. The interpreter's `tensor` returns such an array too, but does
        not allow keeping it.
        """
        view = self.interpreter.tensor(tensor.index)()
        return np.asarray(_Memory(dict(view.__array_interface__), self.interpreter))

    @property
    def runtime_version(self) -> str:
        """Version of the runtime's distribution; a slow lookup."""
        return _version(self.runtime) or "?"


def installed() -> list[str]:
    """Return the installed runtimes, best first, without importing them."""
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
        The whole file. Runtimes do not validate it: check its SHA-256 first.
    where : str
        Name for error messages.
    runtime : str, optional
        One of `RUNTIMES`; default: ``KWS_RUNTIME`` from the environment, else the first installed.
    kernels : {"default", "reference"}
        ``reference`` gives the same int8 values on every machine, at a tenth of the speed.
    n_threads : int
        More threads than free cores make it slower.

    Raises
    ------
    MissingDependencyError
        If the runtime is not installed, or does not work with the installed numpy.
    ModelError
        If the content is not a model, or the runtime cannot run it.
    """
    if kernels not in KERNELS:
        raise ConfigError(f"kernels: expected one of {', '.join(KERNELS)}, got {kernels!r}")
    name, module = _import(runtime or os.environ.get("KWS_RUNTIME") or None)
    if content[4:8] != MAGIC:
        raise ModelError(f"{where}: expected a TFLite model, got another file")
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
            f"{name} {_version(name)} does not work with the installed numpy "
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
            # Installed but broken on this machine: another one may still work.
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
    # A slow import, needed for errors and reports only.
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
    """Return `call()`, discarding what the C++ runtime writes to file descriptor 2.

    The runtimes write an INFO line for every model they open; no setting prevents it.
    """
    try:
        saved = os.dup(2)
    except OSError:
        # Standard error is closed.
        return call()
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        return call()
    finally:
        os.dup2(saved, 2)
        os.close(silence)
        os.close(saved)
