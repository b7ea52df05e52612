"""Which libraries a module may import, and when. tests/test_architecture.py orders the packages."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import kws

ROOT = Path(kws.__file__).parents[1]
RUNTIMES = {"ai_edge_litert", "tflite_runtime", "tensorflow"}
# Never in kws, in any module.
FORBIDDEN = {"training", "keras", "librosa", "matplotlib", "sklearn", "tensorflow", "torch"}
# Costly or native libraries, with the modules that may import them.
ONLY_IN = {
    "sounddevice": {"kws.audio.devices"},
    "soundfile": {"kws.audio.files"},
    "soxr": {"kws.audio.resample"},
}
# A heavy import costs cold start: these are imported where they are used.
LAZY = {"cpuinfo", "psutil", "rich", "scipy", "sounddevice", "soundfile", "soxr", *RUNTIMES}
# TensorFlow takes ten seconds to import; the others come with extras that may be missing.
OPTIONAL = LAZY | {
    *("keras", "matplotlib", "sklearn", "jinja2", "pooch", "requests", "tqdm", "PIL"),
    *("threadpoolctl", "tflite_micro", "tensorboard", "cpuinfo", "psutil", "pyroomacoustics"),
    *("safetensors",),
    # Of the standard library: slow to import, and not on the way to the first detection.
    *("_sha2", "_sha256", "ctypes", "hashlib", "importlib", "logging"),
}
STAGES = ("kws.features", "kws.decision", "kws.inference.window_model", "kws.spotter")


class Import(NamedTuple):
    """One import statement's target."""

    name: str
    in_function: bool


def module_name(path: Path) -> str:
    """Return "kws.cli.listen" for kws/cli/listen.py, and "kws.cli" for its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("kws", "training")
    for path in sorted((ROOT / package).rglob("*.py"))
}


@cache
def imports(module: str) -> frozenset[Import]:
    """Return what a module imports. Imports for type checkers do not count."""
    path = MODULES[module]
    found: set[Import] = set()

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(Import(alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                name = inner if inner in MODULES else str(node.module)
                found.add(Import(name, in_function))
        in_function |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, in_function)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return frozenset(found)


def libraries(module: str, *, at_import: bool = False) -> set[str]:
    """Return the top-level names that a module imports; with `at_import`, when it is imported."""
    return {
        found.name.split(".")[0]
        for found in imports(module)
        if not (at_import and found.in_function)
    }


def own_imports(module: str) -> set[str]:
    """Return the modules of this project that a module imports, anywhere in it."""
    return {found.name for found in imports(module) if found.name in MODULES} - {module}


def test_no_module_imports_itself_through_others():
    """
    There is no circle, with imports inside functions counted.
    """
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module in done or module in ("kws", "training"):
            return
        for other in own_imports(module):
            visit(other, (*trail, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", MODULES)
def test_imports_inside_functions_are_for_optional_libraries(module):
    """
    Only optional extras and TensorFlow are imported late.

    Commands import the modules that need them late, so that --help answers at once; kws.cli
    also keeps the cold start of `kws-listen` short.
    """
    late = {found.name for found in imports(module) if found.in_function}
    if ".cli" in module or module == "kws":
        late = {name for name in late if not name.startswith(("kws", "training"))}

    assert {name for name in late if name.split(".")[0] not in OPTIONAL} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("kws")])
def test_the_runtime_never_imports_the_build_side(module):
    """
    kws imports neither training nor plotting; TensorFlow is the interpreter's last resort.
    """
    assert libraries(module) & FORBIDDEN == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("kws")])
def test_each_heavy_library_has_one_importer(module):
    """
    sounddevice only in the microphone, soundfile in files, soxr in resample.
    """
    assert {
        library for library in libraries(module) & set(ONLY_IN) if module not in ONLY_IN[library]
    } == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("kws")])
def test_only_the_interpreter_knows_a_runtime(module):
    """
    No other module imports a TFLite runtime, nor spells one to import it by name.
    """
    if module == "kws.inference.interpreter":
        return
    texts = {
        node.value
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert libraries(module) & RUNTIMES == set()
    assert not any(text.startswith(("ai_edge_litert", "tflite_runtime")) for text in texts)


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("kws")])
def test_heavy_libraries_are_imported_when_they_are_used(module):
    """
    Importing a module of kws imports no library that costs cold start.
    """
    assert libraries(module, at_import=True) & LAZY == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(STAGES)])
def test_the_stages_have_no_clock_thread_or_device(module):
    """
    Between ring buffer and callback nothing reads a clock, starts a thread or opens a device.
    """
    assert libraries(module) & {"time", "datetime", "threading", "sounddevice"} == set()


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_import_kws_is_light():
    """
    The public names of kws need neither PortAudio nor an interpreter nor the build side.
    """
    loaded = modules_after("import kws\nkws.KeywordSpotter, kws.Listener, kws.log_mel")

    assert {"kws", "numpy"} <= loaded
    assert loaded & (LAZY | FORBIDDEN) == set()


def test_spotting_needs_nothing_but_numpy_and_one_runtime():
    """
    A spotter on raw samples loads no audio library, no scipy, and no more than one runtime.
    """
    loaded = modules_after(
        "import numpy, kws\n"
        "kws.KeywordSpotter.from_model().process(numpy.zeros(32_000, dtype=numpy.int16))"
    )

    assert len(loaded & RUNTIMES) == 1
    assert loaded & ((LAZY | FORBIDDEN) - RUNTIMES) == set()


@pytest.mark.parametrize("command", ["evaluate", "train", "enroll"])
def test_help_needs_no_extra(command):
    """
    After a plain install each command explains itself; its extras are imported where they are used.
    """
    loaded = modules_after(f"import training.cli.{command}\ntraining.cli.{command}._parser()")

    assert loaded & {"scipy", "sklearn", "matplotlib", "jinja2", "tensorflow", "keras"} == set()


@pytest.mark.parametrize("old", kws._RENAMED)
def test_an_old_module_names_the_new_one(old):
    """
    What the pages of release 0.1 imported ends with one line; the new module exists.
    """
    with pytest.raises(ModuleNotFoundError, match=f"^{old}: renamed to {kws._RENAMED[old]}$"):
        importlib.import_module(old)
    assert kws._RENAMED[old] in MODULES
