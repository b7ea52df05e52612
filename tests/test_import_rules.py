"""The walls between the rooms: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kws

PACKAGE = Path(kws.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Never in kws, whatever the module.
FORBIDDEN = {"training", "tensorflow", "keras", "matplotlib", "librosa", "sklearn", "torch"}
RUNTIMES = {"ai_edge_litert", "tflite_runtime", "tensorflow"}
# Costly or native libraries, with the one place that may import them.
ONLY_IN = {
    "sounddevice": {"microphone"},
    "soundfile": {"audio_file"},
    "soxr": {"resample"},
}
# A heavy import costs cold start: these come in when they are used.
LAZY = {"sounddevice", "soundfile", "soxr", "scipy", "rich", *RUNTIMES}
# Layers from bottom to top (design, section 8): a module imports from layers below it only.
LAYERS = [
    {"wake_event"},
    {
        "errors",
        "checksum",
        "patient_call",
        "quiet_stderr",
        "paced_log",
        "signal_health",
        "service",
        "untrusted",
        "piece",
        *("audio_clock", "listener_reports", "thread_cpu"),
    },
    {
        *("config", "quantization", "ring_buffer", "resample", "decimation"),
        *("capture_config", "device_choice", "beginning", "gate", "table_fields"),
    },
    {"spectrum", "manifest", "smoothing", "context", "decision", "interpreter", "conditioning"},
    {"mel", "models", "callbacks", "recorder", "audio_file"},
    {"frontend", "microphone"},
    {"frontend_kinds", "audio_system"},
    {"posterior_model", "device_calls"},
    {"window_model", "stream_model", "connection"},
    {"form_choice"},
    {"spotter"},
    {"listener"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def name_of(path: Path) -> str:
    """Return "cli.listen" for kws/cli/listen.py."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Return the dotted names that a module imports, types for checkers left out.

    With `at_import`, only those that run when the module is imported.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        if at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def own_modules(path: Path) -> set[str]:
    """Return the modules of kws that a module imports, as "mel" or "cli.listen"."""
    known = {name_of(module) for module in MODULES}
    wanted = {name[len("kws.") :] for name in imports(path) if name.startswith("kws.")}
    return wanted & known


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_runtime_never_imports_the_build_side(path):
    """
    kws imports neither training nor TensorFlow nor plotting; training imports kws.
    """
    assert tops(imports(path)) & FORBIDDEN == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_heavy_library_has_one_importer(path):
    """
    sounddevice only in microphone, soundfile only in audio_file, soxr only in resample.
    """
    wrong = {
        library
        for library in tops(imports(path)) & set(ONLY_IN)
        if name_of(path) not in ONLY_IN[library]
    }

    assert wrong == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_interpreter_knows_a_runtime(path):
    """
    No other module imports a TFLite runtime, nor spells a runtime's module to import it by name.
    """
    if name_of(path) == "interpreter":
        return
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert tops(imports(path)) & RUNTIMES == set()
    assert {
        text for text in texts if text.startswith(("ai_edge_litert", "tflite_runtime"))
    } == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_are_imported_when_they_are_used(path):
    """
    Importing a module of kws imports no library that costs cold start.
    """
    assert tops(imports(path, at_import=True)) & LAZY == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path):
    """
    A stage imports from below only; nothing but the command line imports the command line.
    """
    name = name_of(path)
    wanted = own_modules(path)
    if name in LAYER:
        above = {other for other in wanted if LAYER.get(other, -1) >= LAYER[name]}

        assert above == set()
    if not name.startswith("cli") and name != "__main__":
        assert {other for other in wanted if other.startswith("cli")} == set()


@pytest.mark.parametrize(
    "name",
    [
        "spotter",
        "beginning",
        "form_choice",
        "gate",
        "smoothing",
        "decision",
        "decimation",
        "frontend",
        "frontend_kinds",
        "window_model",
    ],
)
def test_the_stages_have_no_clock_thread_or_device(name):
    """
    Between ring buffer and callback nothing reads a clock, starts a thread or opens a device.
    """
    path = PACKAGE / f"{name}.py"
    found = tops(imports(path)) | own_modules(path)

    assert found & {"time", "datetime", "threading", "microphone", "listener", "callbacks"} == set()


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return tops(set(done.stdout.split()))


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
