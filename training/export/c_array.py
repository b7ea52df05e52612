"""Write a model as C++ source for TFLite Micro: the bytes, and a header with all that goes with it.

The same model gives the same files, so they can be kept under version control.
"""

from __future__ import annotations

from pathlib import Path

from kws.errors import ConfigError
from kws.files import write_atomically
from kws.manifest import ModelManifest, StreamForm, WindowForm
from training.export import c_text
from training.export.c_header import header, title
from training.export.c_text import numbers, real, string
from training.export.micro_model import MicroModel, read_micro_model

# More than any posterior: the labels that are no keywords never fire.
NEVER = 2.0


def write_c_arrays(manifest: ModelManifest, out: Path) -> list[Path]:
    """Write each form of a model as a header and a source file, and return their paths.

    ``NAME_model.h`` and ``.cc`` are the window form, ``NAME_stream_model.h`` and ``.cc`` the
    stream form where there is one. Nothing is written unless every form can be.

    Raises
    ------
    ManifestError, ModelError
        If a file is not the manifest's, or TFLite Micro cannot run it.
    ConfigError
        If `out` is no folder and cannot be made one.
    """
    name = c_text.identifier(manifest.name)
    forms: dict[str, WindowForm | StreamForm] = {f"{name}_model": manifest.window}
    if manifest.stream is not None:
        forms[f"{name}_stream_model"] = manifest.stream
    texts: dict[str, str] = {}
    for stem, form in forms.items():
        model = read_micro_model(manifest, form)
        texts[f"{stem}.h"] = header(model, stem)
        texts[f"{stem}.cc"] = source(model, stem)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out}: expected a folder to write to: {error.strerror}") from error
    for file, text in texts.items():
        write_atomically(out / file, text)
    return [out / file for file in texts]


def source(model: MicroModel, stem: str) -> str:
    """Return the text of the source file; it needs nothing but its header."""
    prefix, manifest = stem.upper(), model.manifest
    labels = "\n".join(f"    {string(label)}," for label in manifest.labels)
    thresholds = "\n".join(
        f"    {real(manifest.decision.threshold(label) if label in manifest.keywords else NEVER)},"
        for label in manifest.labels
    )
    weights = "\n".join(
        f"    {real(manifest.decision.context_weights.get(label, 0.0))},"
        for label in manifest.labels
    )
    parts = [
        title(model),
        f'#define {prefix}_DATA_ONLY\n#include "{stem}.h"',
        f"const char* const g_{stem}_labels[{prefix}_N_LABELS] = {{\n{labels}\n}};",
        f"const float g_{stem}_thresholds[{prefix}_N_LABELS] = {{\n{thresholds}\n}};",
        f"const float g_{stem}_context_weights[{prefix}_N_LABELS] = {{\n{weights}\n}};",
    ]
    if model.states:
        rows = "\n".join(
            f"    {{{state.input.place}, {state.output.place}, {state.input.n_bytes}, "
            f"{state.input.zero_point}, {numbers(state.input.shape)}}},  "
            f"{c_text.comment(state.input.name)}"
            for state in model.states
        )
        parts.append(f"const {stem}_state g_{stem}_states[{prefix}_N_STATES] = {{\n{rows}\n}};")
    parts += [
        f"const unsigned int g_{stem}_data_len = {len(model.content)};",
        f"alignas(16) const unsigned char g_{stem}_data[] = {{\n{c_text.data(model.content)}\n}};",
    ]
    return c_text.ascii_only("\n\n".join(parts) + "\n")
