"""The header of a model for TFLite Micro: all that a program must know beside the bytes."""

from __future__ import annotations

from kws import __version__
from kws.errors import ModelError
from kws.inference.select import own_hop_ms
from kws.manifest import ModelManifest, StreamForm
from training.export import c_text
from training.export.c_text import define, integer, numbers, real, string
from training.export.micro_model import MicroModel, MicroTensor

TFLM = "tensorflow/lite/micro"


def header(model: MicroModel, stem: str) -> str:
    """Return the text of the header; `stem` is the file's name without its suffix."""
    prefix = stem.upper()
    parts = [
        title(model),
        f"#ifndef {prefix}_H_\n#define {prefix}_H_",
        _facts(model, prefix),
        _frontend(model.manifest, prefix),
        _shapes(model, prefix),
        _decision(model.manifest, prefix),
        _arena(model, prefix),
        _declarations(model, stem, prefix),
        _resolver(model, stem, prefix),
        f"#endif  // {prefix}_H_",
    ]
    return "\n\n".join(parts) + "\n"


def title(model: MicroModel) -> str:
    """Return the first lines of both files: what the model is, its licence, who to name."""
    manifest = model.manifest
    kind = "Stream" if model.states else "Window"
    lines = [
        f"{manifest.name}, version {manifest.version}: {manifest.description or 'keyword model'}",
        f"{kind} form, made from {model.form.file} by kws-train export --c-array (kws "
        f"{__version__}). Do not edit.",
        f"SPDX-License-Identifier: {manifest.licence or 'NONE'}",
    ]
    if manifest.attribution:
        lines += ["Trained with:", *(f"  {source}" for source in manifest.attribution)]
    return c_text.ascii_only("\n".join(c_text.comment(line) for line in lines))


def _facts(model: MicroModel, prefix: str) -> str:
    manifest = model.manifest
    facts = {
        "NAME": manifest.name,
        "VERSION": manifest.version,
        "LICENCE": manifest.licence,
        "SHA256": model.form.sha256,
    }
    return "\n".join(define(f"{prefix}_{key}", string(value)) for key, value in facts.items())


def _frontend(manifest: ModelManifest, prefix: str) -> str:
    frontend = manifest.frontend
    if frontend.kind != "log_mel":
        raise ModelError(
            f"{manifest.path}: C source tells of log_mel front ends only so far, got "
            f"{frontend.kind}; export without --c-array"
        )
    values = {
        "SAMPLE_RATE": integer(frontend.sample_rate),
        "FRAME_LENGTH_SAMPLES": integer(frontend.frame_length_samples),
        "FRAME_STEP_SAMPLES": integer(frontend.frame_step_samples),
        "N_FFT": integer(frontend.n_fft),
        "N_MELS": integer(frontend.n_mels),
        "LOW_HZ": real(frontend.low_hz),
        "HIGH_HZ": real(frontend.high_hz),
        "LOG_FLOOR": real(frontend.log_floor),
        "MEAN": real(frontend.mean),
        "STD": real(frontend.std),
    }
    text = (
        "Front end. A frame is FRAME_LENGTH_SAMPLES of int16 audio / 32768, weighted by a "
        "periodic Hann taper and zero-padded to N_FFT; its power spectrum (re * re + im * im) goes "
        "through N_MELS triangles of peak 1, straight and equally spaced on the scale "
        "mel = 1127 * ln(1 + hz / 700) from LOW_HZ to HIGH_HZ. With "
        "x = (ln(max(energy, LOG_FLOOR)) - MEAN) / STD the model's input is "
        "round(x / FRAMES_SCALE) + FRAMES_ZERO_POINT, clipped to -128..127."
    )
    return "\n".join([c_text.comment(text), *_defines(values, prefix)])


def _shapes(model: MicroModel, prefix: str) -> str:
    manifest, form = model.manifest, model.form
    hop = max(1, round(own_hop_ms(manifest) / manifest.frontend.frame_step_ms))
    values = {"WINDOW_FRAMES": integer(manifest.window.window_frames)}
    if isinstance(form, StreamForm):
        text = (
            "Shapes. Each run takes the next HOP_FRAMES frames and the states. The first "
            "N_WARM_UP_HOPS - 1 posteriors after a reset saw less than a window: leave them out."
        )
        values["HOP_FRAMES"] = integer(form.hop_frames)
        values["N_WARM_UP_HOPS"] = integer(model.n_warm_up_hops)
    else:
        text = (
            "Shapes. Each run takes the newest WINDOW_FRAMES frames; the thresholds were chosen "
            "with HOP_FRAMES new ones from run to run."
        )
        values["HOP_FRAMES"] = integer(hop)
    values |= _tensor("FRAMES", "INPUT", model.frames)
    values |= _tensor("POSTERIOR", "OUTPUT", model.posterior)
    return "\n".join([c_text.comment(text), *_defines(values, prefix)])


def _tensor(name: str, role: str, tensor: MicroTensor) -> dict[str, str]:
    return {
        f"{name}_{role}": integer(tensor.place),
        f"{name}_SHAPE": numbers(tensor.shape),
        f"{name}_BYTES": integer(tensor.n_bytes),
        f"{name}_SCALE": real(tensor.scale),
        f"{name}_ZERO_POINT": integer(tensor.zero_point),
    }


def _decision(manifest: ModelManifest, prefix: str) -> str:
    text = (
        "Decision. Average the posteriors of SMOOTHING_MS. Other speech before counts against "
        "them: keep a running mean of the posterior of _unknown_ as it was CONTEXT_DELAY_MS ago, "
        "with the time constant CONTEXT_MS, 0 at first; that times a label's context weight comes "
        "off the natural log odds of its average, which makes its score.\n"
        "A keyword fires when its score reaches its threshold, and not again until it has been "
        "below for SUPPRESSION_MS."
    )
    values = {
        "N_LABELS": integer(len(manifest.labels)),
        "SMOOTHING_MS": integer(manifest.decision.smoothing_ms),
        "SUPPRESSION_MS": integer(manifest.decision.suppression_ms),
        "CONTEXT_MS": integer(manifest.decision.context_ms),
        "CONTEXT_DELAY_MS": integer(manifest.decision.context_delay_ms),
    }
    return "\n".join([c_text.comment(text), *_defines(values, prefix)])


def _arena(model: MicroModel, prefix: str) -> str:
    arena = model.arena
    text = (
        f"Tensor arena. At least {arena.least} bytes, {arena.how}. "
        "ARENA_BYTES adds one eighth for scratch memory of CMSIS-NN's kernels, in whole kilobytes. "
        "ESP-NN kernels want more: see docs/microcontrollers.md."
    )
    values = {
        "ARENA_BYTES_LEAST": integer(arena.least),
        "ARENA_MEASURED": integer(int(arena.measured)),
        "ARENA_BYTES": integer(arena.n_bytes),
    }
    return "\n".join([c_text.comment(text), *_defines(values, prefix)])


def _defines(values: dict[str, str], prefix: str) -> list[str]:
    return [define(f"{prefix}_{key}", value) for key, value in values.items()]


def _declarations(model: MicroModel, stem: str, prefix: str) -> str:
    lines = ["#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
    if model.states:
        rank = max(len(state.input.shape) for state in model.states)
        total = sum(state.input.n_bytes for state in model.states)
        lines += [
            "// State: output OUTPUT of a run is input INPUT of the next one, BYTES long. A stream",
            "// begins with every byte at ZERO_POINT.",
            define(f"{prefix}_N_STATES", integer(len(model.states))),
            define(f"{prefix}_STATE_BYTES", integer(total)),
            "typedef struct {",
            "  int input;",
            "  int output;",
            "  unsigned int bytes;",
            "  signed char zero_point;",
            f"  int shape[{rank}];",
            f"}} {stem}_state;",
            f"extern const {stem}_state g_{stem}_states[{prefix}_N_STATES];",
        ]
    lines += [
        "// In the order of the posterior. Labels that begin with an underscore are no keywords.",
        f"extern const char* const g_{stem}_labels[{prefix}_N_LABELS];",
        f"extern const float g_{stem}_thresholds[{prefix}_N_LABELS];",
        f"extern const float g_{stem}_context_weights[{prefix}_N_LABELS];",
        "// The .tflite file, 16-byte aligned.",
        f"extern const unsigned char g_{stem}_data[];",
        f"extern const unsigned int g_{stem}_data_len;",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ]
    return "\n".join(lines)


def _resolver(model: MicroModel, stem: str, prefix: str) -> str:
    adds = " ||\n      ".join(f"resolver.{method}() != kTfLiteOk" for method in model.methods)
    parts = [
        define(f"{prefix}_N_OPS", integer(len(model.methods))),
        f"#if defined(__cplusplus) && !defined({prefix}_DATA_ONLY)",
        *(
            ["#include <string.h>", f'#include "{TFLM}/micro_interpreter.h"']
            if model.states
            else []
        ),
        f'#include "{TFLM}/micro_mutable_op_resolver.h"',
        "",
        "// The operators of this model and no others, so that only their kernels are linked.",
        f"using {stem}_op_resolver = tflite::MicroMutableOpResolver<{prefix}_N_OPS>;",
        f"inline TfLiteStatus {stem}_add_ops({stem}_op_resolver& resolver) {{",
        f"  if ({adds}) {{",
        "    return kTfLiteError;",
        "  }",
        "  return kTfLiteOk;",
        "}",
    ]
    if model.states:
        parts += ["", _state_functions(stem)]
    return "\n".join([*parts, f"#endif  // __cplusplus && !{prefix}_DATA_ONLY"])


def _state_functions(stem: str) -> str:
    """Return functions that carry the states through a buffer of the program's own."""

    def function(name: str, parameters: str, statement: str) -> str:
        return (
            f"inline void {stem}_{name}({parameters} states) {{\n"
            f"  for (const {stem}_state& state : g_{stem}_states) {{\n"
            f"    {statement}\n"
            "    states += state.bytes;\n"
            "  }\n"
            "}"
        )

    interpreter = "tflite::MicroInterpreter& interpreter,\n    "
    why = (
        "The states of a stream, STATE_BYTES in a buffer of the program's own: reset them once, "
        "load them before each Invoke() and save them after it. They cannot be copied from output "
        "to input one by one, because inputs and outputs share memory in the arena."
    )
    return "\n".join(
        [
            c_text.comment(why),
            function(
                "reset_states", "unsigned char*", "memset(states, state.zero_point, state.bytes);"
            ),
            function(
                "load_states",
                f"{interpreter}const unsigned char*",
                "memcpy(interpreter.input(state.input)->data.raw, states, state.bytes);",
            ),
            function(
                "save_states",
                f"{interpreter}unsigned char*",
                "memcpy(states, interpreter.output(state.output)->data.raw, state.bytes);",
            ),
        ]
    )
