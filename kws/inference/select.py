"""Choose the form of a model, stream or window, that runs at a hop."""

from __future__ import annotations

from typing import Any

from kws.errors import ConfigError
from kws.inference.model import PosteriorModel
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest

MODES = ("auto", "stream", "window")
# Default without a stream form: fewer wake-ups save more CPU than less arithmetic does.
HOP_MS = 100
MAX_HOP_MS = 2_000


def default_hop_ms(manifest: ModelManifest, *, mode: str = "auto") -> float:
    """Return the default time between windows of a model.

    The step of its stream form; `HOP_MS` if there is none, or if `mode` is ``window``.
    """
    if manifest.stream is None or mode == "window":
        return HOP_MS
    return manifest.frontend.duration_ms(manifest.stream.hop_frames)


def open_form(
    manifest: ModelManifest,
    *,
    hop_ms: float | None,
    mode: str,
    **settings: Any,
) -> PosteriorModel:
    """Return a model in the form for this hop (see `KeywordSpotter.from_model`).

    Raises
    ------
    KwsError
        If the model or a setting is invalid.
    """
    asked_ms = default_hop_ms(manifest, mode=mode) if hop_ms is None else hop_ms
    hop_frames = _hop_frames(manifest, asked_ms)
    if mode not in MODES:
        raise ConfigError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    form: type[StreamModel | WindowModel] = WindowModel
    streams = manifest.stream is not None and hop_frames % manifest.stream.hop_frames == 0
    if mode == "stream" or (mode == "auto" and streams):
        form = StreamModel
    elif mode == "auto" and manifest.stream is not None:
        _log_window_form(manifest, hop_frames)
    return form(manifest, hop_frames=hop_frames, **settings)


def _hop_frames(manifest: ModelManifest, hop_ms: float) -> int:
    """Return the frames of a hop."""
    step_ms = manifest.frontend.frame_step_ms
    fits = step_ms <= hop_ms <= MAX_HOP_MS
    # Only a step of whole ms can be divided exactly; 7.75 ms is rounded to whole frames.
    if not fits or (step_ms == int(step_ms) and hop_ms % step_ms):
        raise ConfigError(
            f"hop_ms: expected {step_ms:g} to {MAX_HOP_MS} and a multiple of {step_ms:g}, "
            f"got {hop_ms:g}"
        )
    return round(hop_ms / step_ms)


def _log_window_form(manifest: ModelManifest, hop_frames: int) -> None:
    # Rarely needed, and its import slows the cold start.
    import logging

    assert manifest.stream is not None
    logging.getLogger(__name__).info(
        "a hop of %g ms needs the window form of %s, which costs more: its stream form runs every "
        "%g ms or a multiple of it (kws-train export makes others)",
        manifest.frontend.duration_ms(hop_frames),
        manifest.name,
        manifest.frontend.duration_ms(manifest.stream.hop_frames),
    )
