"""Write a model as C++ source for TFLite Micro: its bytes, and a header with all its constants.

`header.h.in` and `source.cc.in` are the text of the two files; this module fills in the values. The
same model gives the same files, so they can be kept under version control.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from kws import __version__
from kws.errors import ConfigError, ModelError
from kws.files import write_atomically
from kws.inference.select import default_hop_ms
from kws.manifest import ModelManifest, StreamForm, WindowForm
from training.export.micro_model import MicroModel, MicroTensor, read_micro_model
from training.export.tensor_arena import TensorArena

# Above every posterior, so that labels which are not keywords never fire.
NEVER = 2.0
BYTES_A_LINE, COLUMNS = 16, 100
STREAMING_NOTE = (
    "Each run takes the next HOP_FRAMES frames and the states. Ignore the first "
    "N_WARM_UP_HOPS - 1 posteriors after a reset: they are computed from less than a window."
)
WINDOW_NOTE = (
    "Each run takes the newest WINDOW_FRAMES frames. The thresholds were chosen with HOP_FRAMES "
    "new frames from run to run."
)


def write_c_source(manifest: ModelManifest, out: Path) -> list[Path]:
    """Write each model of a manifest as a header and a source file; return their paths.

    ``NAME_model.h`` and ``.cc`` are the non-streaming model, ``NAME_stream_model.h`` and ``.cc``
    the streaming one, if there is one. Nothing is written unless both can be.

    Raises
    ------
    ManifestError, ModelError
        If a file is not the manifest's, or TFLite Micro cannot run it.
    ConfigError
        If `out` cannot be made a folder.
    """
    name = identifier(manifest.name)
    forms: dict[str, WindowForm | StreamForm] = {f"{name}_model": manifest.window}
    if manifest.stream is not None:
        forms[f"{name}_stream_model"] = manifest.stream
    texts: dict[str, str] = {}
    for stem, form in forms.items():
        model = read_micro_model(manifest, form)
        texts[f"{stem}.h"] = _fill("header.h.in", stem, _header_values(model, stem.upper()))
        texts[f"{stem}.cc"] = _fill("source.cc.in", stem, _source_values(model))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out}: expected a folder to write to: {error.strerror}") from error
    for file, text in texts.items():
        write_atomically(out / file, text)
    return [out / file for file in texts]


def identifier(name: str) -> str:
    """Return a name as a C identifier: ``lamp-on`` is ``lamp_on``."""
    made = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    return f"m{made}" if made[0].isdigit() else made


def _fill(template: str, stem: str, values: Mapping[str, str]) -> str:
    text = Path(__file__).with_name(template).read_text(encoding="ascii")
    filled = Template(text).substitute(values, p=stem, P=stem.upper())
    # Only comments can hold other characters.
    return filled.encode("ascii", "replace").decode()


def _header_values(model: MicroModel, prefix: str) -> dict[str, str]:
    define = partial(_defines, prefix)
    note = STREAMING_NOTE if isinstance(model.form, StreamForm) else WINDOW_NOTE
    return {
        "title": _title(model),
        "facts": define(_facts(model)),
        "frontend": define(_frontend(model.manifest)),
        "shapes_note": _comment(f"Shapes. {note}"),
        "shapes": define(_shapes(model)),
        "decision": define(_decision(model.manifest)),
        "arena": _arena(model.arena, prefix),
        "n_states": str(len(model.states)),
        "state_bytes": str(sum(before.n_bytes for before, _ in model.states)),
        "state_rank": str(max((len(before.shape) for before, _ in model.states), default=1)),
        "n_ops": str(len(model.methods)),
        "add_ops": " ||\n      ".join(
            f"resolver.{method}() != kTfLiteOk" for method in model.methods
        ),
    }


def _source_values(model: MicroModel) -> dict[str, str]:
    manifest, decision, content = model.manifest, model.manifest.decision, model.content
    thresholds = [
        decision.threshold(label) if label in manifest.keywords else NEVER
        for label in manifest.labels
    ]
    weights = [decision.context_weights.get(label, 0.0) for label in manifest.labels]
    rows = [content[at : at + BYTES_A_LINE] for at in range(0, len(content), BYTES_A_LINE)]
    return {
        "title": _title(model),
        "labels": "\n".join(f"    {_literal(label)}," for label in manifest.labels),
        "thresholds": "\n".join(f"    {_literal(float(value))}," for value in thresholds),
        "context_weights": "\n".join(f"    {_literal(float(value))}," for value in weights),
        "states": "\n".join(
            f"    {{{before.place}, {after.place}, {before.n_bytes}, {before.zero_point}, "
            f"{_literal(before.shape)}}},  {_comment(before.name)}"
            for before, after in model.states
        ),
        "data_len": str(len(content)),
        "data": "\n".join("  " + " ".join(f"0x{x:02x}," for x in row) for row in rows),
    }


def _title(model: MicroModel) -> str:
    """Return the first lines of both files: the model, its licence and its attribution."""
    manifest = model.manifest
    kind = "Streaming" if model.states else "Non-streaming"
    lines = [
        f"{manifest.name}, version {manifest.version}: {manifest.description or 'keyword model'}",
        f"{kind} model, made from {model.form.file} by kws-train export --c-array (kws "
        f"{__version__}). Do not edit.",
        f"SPDX-License-Identifier: {manifest.licence or 'NONE'}",
    ]
    if manifest.attribution:
        lines += ["Trained with:", *(f"  {source}" for source in manifest.attribution)]
    return "\n".join(_comment(line) for line in lines)


def _facts(model: MicroModel) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "NAME": manifest.name,
        "VERSION": manifest.version,
        "LICENCE": manifest.licence,
        "SHA256": model.form.sha256,
    }


def _frontend(manifest: ModelManifest) -> dict[str, Any]:
    frontend = manifest.frontend
    if frontend.kind != "log_mel":
        raise ModelError(
            f"{manifest.path}: C source is for log_mel front ends only, got {frontend.kind}; "
            "export without --c-array"
        )
    return {
        "SAMPLE_RATE": frontend.sample_rate,
        "FRAME_LENGTH_SAMPLES": frontend.frame_length_samples,
        "FRAME_STEP_SAMPLES": frontend.frame_step_samples,
        "N_FFT": frontend.n_fft,
        "N_MELS": frontend.n_mels,
        "LOW_HZ": float(frontend.low_hz),
        "HIGH_HZ": float(frontend.high_hz),
        "LOG_FLOOR": float(frontend.log_floor),
        "MEAN": float(frontend.mean),
        "STD": float(frontend.std),
    }


def _shapes(model: MicroModel) -> dict[str, Any]:
    manifest, form = model.manifest, model.form
    values = {"WINDOW_FRAMES": manifest.window.window_frames}
    if isinstance(form, StreamForm):
        values |= {"HOP_FRAMES": form.hop_frames, "N_WARM_UP_HOPS": model.n_warm_up_hops}
    else:
        hop = default_hop_ms(manifest) / manifest.frontend.frame_step_ms
        values["HOP_FRAMES"] = max(1, round(hop))
    frames = _tensor("FRAMES", "INPUT", model.frames)
    return values | frames | _tensor("POSTERIOR", "OUTPUT", model.posterior)


def _tensor(name: str, role: str, tensor: MicroTensor) -> dict[str, Any]:
    return {
        f"{name}_{role}": tensor.place,
        f"{name}_SHAPE": tensor.shape,
        f"{name}_BYTES": tensor.n_bytes,
        f"{name}_SCALE": tensor.scale,
        f"{name}_ZERO_POINT": tensor.zero_point,
    }


def _decision(manifest: ModelManifest) -> dict[str, Any]:
    return {
        "N_LABELS": len(manifest.labels),
        "SMOOTHING_MS": manifest.decision.smoothing_ms,
        "SUPPRESSION_MS": manifest.decision.suppression_ms,
        "CONTEXT_MS": manifest.decision.context_ms,
        "CONTEXT_DELAY_MS": manifest.decision.context_delay_ms,
    }


def _arena(arena: TensorArena | None, prefix: str) -> str:
    if arena is None:
        return _comment(
            "Tensor arena. Not measured: export where the Python package tflite-micro is installed "
            "(Linux on x86_64), or ask interpreter.arena_used_bytes() on the board."
        )
    text = (
        f"Tensor arena. At least {arena.least} bytes, {arena.how}. "
        "ARENA_BYTES adds one eighth for scratch memory of CMSIS-NN's kernels, in whole kilobytes. "
        "ESP-NN kernels need more: see docs/microcontrollers.md."
    )
    values = {"ARENA_BYTES_LEAST": arena.least, "ARENA_BYTES": arena.n_bytes}
    return f"{_comment(text)}\n{_defines(prefix, values)}"


def _defines(prefix: str, values: Mapping[str, Any]) -> str:
    return "\n".join(f"#define {prefix}_{key} {_literal(value)}" for key, value in values.items())


def _comment(text: str) -> str:
    """Return a text as `//` comments, one paragraph for each of its lines."""
    # A backslash or its trigraph at the end would make the next line of code part of the comment.
    lines = [line.replace("??/", "?/").rstrip("\\ \t") for line in text.splitlines()]
    wrapped = [part for line in lines for part in textwrap.wrap(line, COLUMNS - 3)]
    return "\n".join(f"// {line}" for line in wrapped)


def _literal(value: Any) -> str:
    """Return a str, int, float or sequence of them as C source; a float reads back as float32."""
    if isinstance(value, str):
        plain = set(range(32, 127)) - set(b'"\\?')
        parts = (chr(x) if x in plain else f"\\{x:03o}" for x in value.encode())
        return f'"{"".join(parts)}"'
    if isinstance(value, tuple):
        return f"{{{', '.join(map(_literal, value))}}}"
    literal = f"{np.float32(value)!s}f" if isinstance(value, float) else str(value)
    return literal if value >= 0 else f"({literal})"
