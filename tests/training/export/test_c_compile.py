"""The generated C++ compiles, and the compiled program has the values of the manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kws.inference.interpreter import open_model

# The schema comes with ai-edge-litert, which has no wheels for Python 3.9.
pytest.importorskip("ai_edge_litert.schema_py_generated")

from training.export import c_source
from training.export.micro_model import METHODS
from training.tflite.graph import Graph

STEMS = ("default_model", "default_stream_model")
# The part of TFLite Micro's API that the header calls, to compile without its sources.
STAND_IN = """\
#pragma once
#include <vector>
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TfLiteTensor { union { char* raw; } data; };
namespace tflite {
struct MicroInterpreter {
  std::vector<TfLiteTensor> in, out;
  TfLiteTensor* input(int i) { return &in[i]; }
  TfLiteTensor* output(int i) { return &out[i]; }
};
template <unsigned int N> struct MicroMutableOpResolver {
  unsigned int n = 0;
  TfLiteStatus add() { return n++ < N ? kTfLiteOk : kTfLiteError; }
  %s
};
}
"""
CARRY_STATES = """\
  const int n = DEFAULT_STREAM_MODEL_N_STATES + 1;
  static char memory[2][32][8192];
  tflite::MicroInterpreter i;
  for (int k = 0; k < n; ++k) {
    TfLiteTensor t;
    t.data.raw = memory[0][k]; i.in.push_back(t);
    t.data.raw = memory[1][k]; i.out.push_back(t);
  }
  unsigned char states[DEFAULT_STREAM_MODEL_STATE_BYTES];
  default_stream_model_reset_states(states);
  default_stream_model_load_states(i, states);
  for (const default_stream_model_state& s : g_default_stream_model_states) {
    if (memory[0][s.input][0] != s.zero_point) return 2;
    if (memory[0][s.input][s.bytes - 1] != s.zero_point) return 3;
    memory[1][s.output][0] = char(s.output + 40);
    memory[1][s.output][s.bytes - 1] = char(s.output + 80);
  }
  default_stream_model_save_states(i, states);
  default_stream_model_load_states(i, states);
  for (const default_stream_model_state& s : g_default_stream_model_states) {
    if (memory[0][s.input][0] != char(s.output + 40)) return 4;
    if (memory[0][s.input][s.bytes - 1] != char(s.output + 80)) return 5;
  }
"""


def compile_and_run(code: str, folder: Path, *stems: str) -> bytes:
    """Return the output of a C++ program with generated sources; skip without a compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    (folder / "main.cc").write_text(code)
    sources = ["main.cc", *(f"{stem}.cc" for stem in stems)]
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-I", "."]
    subprocess.run([compiler, *flags, *sources, "-o", "main"], cwd=folder, check=True, timeout=90)
    return subprocess.run([folder / "main"], check=True, capture_output=True, timeout=30).stdout


def test_the_compiled_data_is_the_model(default_manifest, c_folder):
    """
    Compiled alone, the sources hold the bytes of the .tflite file, 16-byte aligned, and the labels.
    """
    for form, stem in zip(
        (default_manifest.window, default_manifest.stream),
        ("default_model", "default_stream_model"),
    ):
        code = (
            f'#define {stem.upper()}_DATA_ONLY\n#include "{stem}.h"\n#include <stdio.h>\n'
            "#include <stdint.h>\nint main() {\n"
            f"  if (reinterpret_cast<uintptr_t>(g_{stem}_data) % 16) return 1;\n"
            f'  for (const char* label : g_{stem}_labels) printf("%s\\n", label);\n'
            f"  fwrite(g_{stem}_data, 1, g_{stem}_data_len, stdout);\n}}\n"
        )
        output = compile_and_run(code, c_folder, stem)
        labels = "".join(f"{label}\n" for label in default_manifest.labels).encode()

        assert output[: len(labels)] == labels
        assert hashlib.sha256(output[len(labels) :]).hexdigest() == form.sha256


def test_the_compiled_constants_are_the_manifest(default_manifest, c_folder):
    """
    Front end and decision in the header have the values of the manifest.
    """
    frontend, decision = default_manifest.frontend, default_manifest.decision
    expected = {
        "SAMPLE_RATE": frontend.sample_rate,
        "FRAME_LENGTH_SAMPLES": frontend.frame_length_samples,
        "FRAME_STEP_SAMPLES": frontend.frame_step_samples,
        "N_FFT": frontend.n_fft,
        "N_MELS": frontend.n_mels,
        "LOW_HZ": frontend.low_hz,
        "HIGH_HZ": frontend.high_hz,
        "LOG_FLOOR": frontend.log_floor,
        "MEAN": frontend.mean,
        "STD": frontend.std,
        "WINDOW_FRAMES": default_manifest.window.window_frames,
        "HOP_FRAMES": 10,
        "SMOOTHING_MS": decision.smoothing_ms,
        "SUPPRESSION_MS": decision.suppression_ms,
        "CONTEXT_MS": decision.context_ms,
        "CONTEXT_DELAY_MS": decision.context_delay_ms,
    }
    keywords = default_manifest.keywords
    expected_thresholds = [
        decision.threshold(label) if label in keywords else 2 for label in default_manifest.labels
    ]
    expected_weights = [decision.context_weights.get(label, 0) for label in default_manifest.labels]
    prints = "".join(f'  printf("%.9g\\n", double(DEFAULT_MODEL_{key}));\n' for key in expected)
    code = (
        '#define DEFAULT_MODEL_DATA_ONLY\n#include "default_model.h"\n#include <stdio.h>\n'
        "static const int shape[] = DEFAULT_MODEL_FRAMES_SHAPE;\n"
        f"int main() {{\n{prints}"
        '  for (float x : g_default_model_thresholds) printf("%.9g\\n", double(x));\n'
        '  for (float x : g_default_model_context_weights) printf("%.9g\\n", double(x));\n'
        "  return shape[1] * shape[2] != DEFAULT_MODEL_FRAMES_BYTES;\n}\n"
    )
    numbers = [float(line) for line in compile_and_run(code, c_folder, "default_model").split()]

    wanted = [*expected.values(), *expected_thresholds, *expected_weights]
    assert [float(np.float32(value)) for value in wanted] == [float(np.float32(x)) for x in numbers]


def test_the_input_scale_is_the_tensors(default_manifest, c_folder):
    """
    Scales in the header read back as the float32 values of the file.
    """
    header = (c_folder / "default_model.h").read_text()
    facts = dict(re.findall(r"^#define DEFAULT_MODEL_(\w+) (.+)$", header, re.MULTILINE))
    opened = open_model(default_manifest.read_form(default_manifest.window), where="default")

    for name, tensor in (("FRAMES", opened.inputs[0]), ("POSTERIOR", opened.outputs[0])):
        assert np.float32(facts[f"{name}_SCALE"].rstrip("f")) == np.float32(tensor.scale)
        assert int(facts[f"{name}_ZERO_POINT"].strip("()")) == tensor.zero_point
    assert facts["SHA256"].strip('"') == default_manifest.window.sha256


def test_the_header_compiles_against_the_resolver(default_manifest, c_folder):
    """
    The op list registers each operator of the model once, and states are saved and loaded.
    """
    tflm = c_folder / "tensorflow" / "lite" / "micro"
    tflm.mkdir(parents=True)
    methods = " ".join(f"TfLiteStatus Add{name}() {{ return add(); }}" for name in METHODS.split())
    (tflm / "micro_mutable_op_resolver.h").write_text(STAND_IN % methods)
    (tflm / "micro_interpreter.h").write_text('#include "micro_mutable_op_resolver.h"\n')
    code = (
        "".join(f'#include "{stem}.h"\n' for stem in STEMS) + "#include <stdio.h>\nint main() {\n"
    )
    for stem in STEMS:
        code += (
            f"  {{ {stem}_op_resolver r; if ({stem}_add_ops(r) != kTfLiteOk) return 1;\n"
            '    printf("%u\\n", r.n); }\n'
        )
    code += CARRY_STATES
    output = compile_and_run(code + "  return 0;\n}\n", c_folder, *STEMS).split()

    expected = []
    for form in (default_manifest.window, default_manifest.stream):
        graph = Graph(default_manifest.read_form(form), where="x")
        expected.append(len({graph.op_name(operator) for operator in graph.operators}))
    assert [int(number) for number in output] == expected


def test_the_header_is_c_too(c_folder):
    """
    A front end in C can include the header without TFLite Micro.
    """
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    for header in sorted(c_folder.glob("*.h")):
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c"]
        done = subprocess.run([compiler, *flags, str(header)], capture_output=True, timeout=60)

        assert b"" == done.stderr


def test_odd_names_and_labels_are_valid_c(default_manifest, tmp_path):
    """
    A model with names in any language compiles, and its labels do not change.
    """
    labels = ("stop!", 'a"b\\', "größe", "what??/", *default_manifest.labels[4:])
    odd = dataclasses.replace(
        default_manifest,
        name="3-größe on",
        labels=labels,
        decision=dataclasses.replace(default_manifest.decision, thresholds={}, context_weights={}),
        description="ends in a backslash \\\nand goes on */ größe",
        stream=None,
    )
    c_source.write_c_source(odd, tmp_path)
    stem = f"{c_source.identifier('3-größe on')}_model"
    code = (
        f'#define {stem.upper()}_DATA_ONLY\n#include "{stem}.h"\n#include <stdio.h>\n'
        f'int main() {{ for (const char* x : g_{stem}_labels) printf("%s\\n", x); }}\n'
    )

    assert stem == "m3_gr__e_on_model"
    assert [*labels] == compile_and_run(code, tmp_path, stem).decode().splitlines()
