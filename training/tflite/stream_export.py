"""Add a streaming model to an exported model, after proving that both compute the same."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, KwsError
from kws.files import sha256, write_atomically
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, StreamForm, read_manifest, write_manifest
from training.tflite.stream_rewrite import StreamingModel, make_streaming

logger = logging.getLogger(__name__)
MAX_FLOAT_DIFFERENCE = 1e-4


class ParityError(KwsError, RuntimeError):
    """An exported model computes other posteriors than the one that it was made from."""


def add_streaming_model(
    manifest: ModelManifest, frames: NDArray[np.float32], *, hop_frames: int, out: Path
) -> tuple[ModelManifest, StreamingModel]:
    """Write ``NAME.stream.tflite`` and a manifest with both models into `out`.

    Parameters
    ----------
    manifest : ModelManifest
        A model in the same folder as its .tflite file, which is copied to `out` if that differs.
    frames : ndarray of float32, shape (n_frames, n_mels)
        Log-mel of real audio, on which both models must agree at every hop.
    hop_frames : int
        New frames a step.
    out : Path
        An existing folder.

    Raises
    ------
    NotStreamableError
        If the network cannot stream, or not at this hop; nothing is written then.
    ParityError
        If one integer of one posterior differs; nothing is written then.
    """
    window = manifest.read_form(manifest.window)
    made = make_streaming(window, hop_frames=hop_frames, where=manifest.window.file)
    path = _manifest_path(manifest, out)
    form = StreamForm(
        file=stream_file(manifest),
        sha256=sha256(made.content),
        hop_frames=hop_frames,
        states={
            state.name: {
                "shape": [int(size) for size in state.shape],
                "steps": state.n_steps,
                "step_frames": state.stride,
            }
            for state in made.states
        },
    )
    with tempfile.TemporaryDirectory(prefix=f".{manifest.name}-", dir=out) as folder:
        (Path(folder) / manifest.window.file).write_bytes(window)
        (Path(folder) / form.file).write_bytes(made.content)
        final = replace(manifest, stream=form, path=Path(folder) / "staged.json")
        n_hops = check_equality(final, frames)
    final = replace(final, path=path)
    if manifest.path.parent.resolve() != out.resolve():
        write_atomically(out / manifest.window.file, window)
    write_atomically(out / form.file, made.content)
    write_manifest(final, path)
    logger.info(
        "%s: equal to the non-streaming model at %d hops; %.1f %% of its multiplications",
        form.file,
        n_hops,
        100 * made.macs / made.window_macs,
    )
    return final, made


def stream_file(manifest: ModelManifest) -> str:
    """Return the file name of a model's streaming model."""
    return f"{manifest.name}.stream.tflite"


def _manifest_path(manifest: ModelManifest, out: Path) -> Path:
    """Return where the manifest goes: its own path in its own folder, else ``out/NAME.json``."""
    if manifest.path.parent.resolve() == out.resolve():
        return manifest.path
    path = out / f"{manifest.name}.json"
    if path.exists() and read_manifest(path).window.sha256 != manifest.window.sha256:
        raise ConfigError(
            f"{path}: another model of this name is there already; choose another --out"
        )
    return path


def check_equality(manifest: ModelManifest, frames: NDArray[np.float32]) -> int:
    """Return the number of hops compared; with the reference kernels all of them are equal.

    The posteriors of a float model may differ by `MAX_FLOAT_DIFFERENCE`.

    Raises
    ------
    ParityError
        If posteriors differ at any hop.
    """
    form = manifest.stream
    assert form is not None
    # Two windows, so that every state has been used.
    least = 2 * manifest.window.window_frames
    if len(frames) < least:
        step_s = manifest.frontend.frame_step_ms / 1000
        raise ConfigError(
            f"expected at least {least * step_s:g} s of speech to compare the streaming model on, "
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
        raise ParityError(
            f"{form.file}: expected the posteriors of the non-streaming model, got others at "
            f"{len(different)} of {len(expected)} hops, first at hop {different[0]}; "
            "please report this network"
        )
    return len(expected)
