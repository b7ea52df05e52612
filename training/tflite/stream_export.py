"""Give an exported model its stream form, and prove that it says the same."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, KwsError
from kws.files import write_atomically
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, StreamForm, read_manifest, write_manifest
from training.tflite.stream_rewrite import StreamingModel, make_streaming

logger = logging.getLogger(__name__)
MAX_FLOAT_DIFFERENCE = 1e-4


class StreamDiffersError(KwsError, RuntimeError):
    """The stream form gives other posteriors than the window form."""


def add_streaming_model(
    manifest: ModelManifest, frames: NDArray[np.float32], *, hop_frames: int, out: Path
) -> tuple[ModelManifest, StreamingModel]:
    """Write ``NAME.stream.tflite`` into `out`, and a manifest that tells of it.

    Parameters
    ----------
    manifest : ModelManifest
        A model whose window form lies beside its manifest; copied to `out` if that is elsewhere.
    frames : ndarray of float32, shape (n_frames, n_mels)
        Log-mel of real audio, on which both forms must agree at every hop.
    hop_frames : int
        New frames a step.
    out : Path
        An existing folder.

    Raises
    ------
    NotStreamableError
        If the network has none, or not at this hop; nothing is written then.
    StreamDiffersError
        If one integer of one posterior differs.
    """
    window = manifest.read_form(manifest.window)
    made = make_streaming(window, hop_frames=hop_frames, where=manifest.window.file)
    final_path = _manifest_path(manifest, out)
    form = StreamForm(
        file=stream_file(manifest),
        sha256=hashlib.sha256(made.content).hexdigest(),
        hop_frames=hop_frames,
        states={state.name: describe(state) for state in made.states},
    )
    staging = out / f".{manifest.name}.stream"
    staging.mkdir(exist_ok=True)
    try:
        (staging / manifest.window.file).write_bytes(window)
        (staging / form.file).write_bytes(made.content)
        staged = replace(manifest, stream=form, path=staging / f"{manifest.name}.json")
        n_hops = check_equality(staged, frames)
    finally:
        for leftover in staging.iterdir():
            leftover.unlink()
        staging.rmdir()
    final = replace(staged, path=final_path)
    if manifest.path.parent.resolve() != out.resolve():
        write_atomically(out / manifest.window.file, window)
    write_atomically(out / form.file, made.content)
    write_manifest(final, final.path)
    logger.info(
        "%s: equal to the window form at %d hops; %.1f %% of its multiplications",
        form.file,
        n_hops,
        100 * made.macs / made.window_macs,
    )
    return final, made


def stream_file(manifest: ModelManifest) -> str:
    """Return the name of a model's stream form."""
    return f"{manifest.name}.stream.tflite"


def _manifest_path(manifest: ModelManifest, out: Path) -> Path:
    """Return where the manifest goes: its own place, or beside the files of the new folder."""
    if manifest.path.parent.resolve() == out.resolve():
        return manifest.path
    path = out / f"{manifest.name}.json"
    if path.exists() and read_manifest(path).window.sha256 != manifest.window.sha256:
        raise ConfigError(
            f"{path}: another model of this name is there already; choose another --out"
        )
    return path


def describe(state: Any) -> dict[str, Any]:
    """Return what the manifest tells of a state."""
    return {
        "shape": [int(size) for size in state.shape],
        "steps": state.n_steps,
        "step_frames": state.stride,
    }


def check_equality(manifest: ModelManifest, frames: NDArray[np.float32]) -> int:
    """Return the number of hops compared, all of them equal with the reference kernels.

    A float model's posteriors may differ by `MAX_FLOAT_DIFFERENCE`.

    Raises
    ------
    StreamDiffersError
        At the first hop whose posteriors differ.
    """
    form = manifest.stream
    assert form is not None
    # Two windows, so that every state has been through.
    least = 2 * manifest.window.window_frames
    if len(frames) < least:
        step_s = manifest.frontend.frame_step_ms / 1000
        raise ConfigError(
            f"expected at least {least * step_s:g} s of speech to compare the forms on, "
            f"got {len(frames) * step_s:g} s"
        )
    options: dict[str, Any] = {"hop_frames": form.hop_frames, "kernels": "reference"}
    window = WindowModel(manifest, **options)
    expected = window.push(frames)
    got = StreamModel(manifest, **options).push(frames)
    # Integers must be equal; floats may be added up in another order.
    int8 = window.opened.inputs[0].dtype == np.int8
    allowed = 0.0 if int8 else MAX_FLOAT_DIFFERENCE
    different = np.flatnonzero(~(np.abs(expected - got) <= allowed).all(axis=1))
    if len(different):
        raise StreamDiffersError(
            f"{form.file}: expected the window form's posteriors, got others at "
            f"{len(different)} of {len(expected)} hops, first at hop {different[0]}; "
            "please report this network"
        )
    return len(expected)
