"""One row a model: what it is and what it measures, from the manifests alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kws.manifest import ModelManifest


def row(manifest: ModelManifest) -> dict[str, Any]:
    """Return the figures of one model; None where its manifest has none."""
    size = (manifest.path.parent / manifest.window.file).stat().st_size
    metrics = manifest.metrics
    stream = metrics.get("stream", {})
    return {
        "model": manifest.name,
        "version": manifest.version,
        "words": len(manifest.keywords),
        "parameters": manifest.training.get("parameters"),
        "bytes": size,
        "accuracy": metrics.get("accuracy"),
        "n": metrics.get("n"),
        "split": metrics.get("split"),
        "streams": {
            name: {
                "false_reject_rate": figures.get("false_reject_rate"),
                "false_accepts_per_hour": figures.get("false_accepts_per_hour"),
                "hours": figures.get("hours"),
            }
            for name, figures in stream.items()
        },
        "stream_form": manifest.stream is not None,
        "licence": manifest.licence,
    }


def markdown(manifests: Sequence[ModelManifest]) -> str:
    """Return a Markdown table of the models."""
    lines = [
        "| model | words | parameters | int8 file | accuracy (clips, split) | long audio: missed, "
        "false accepts an hour | stream form |",
        "|---|---|---|---|---|---|---|",
    ]
    for manifest in manifests:
        figures = row(manifest)
        accuracy = (
            "not measured"
            if figures["accuracy"] is None
            else f"{100 * figures['accuracy']:.1f} % ({figures['n']}, {figures['split']})"
        )
        streams = "; ".join(
            f"{name}: {100 * part['false_reject_rate']:.1f} %, {part['false_accepts_per_hour']:.2f}"
            for name, part in figures["streams"].items()
        )
        lines.append(
            f"| {figures['model']} {figures['version']} | {figures['words']} "
            f"| {figures['parameters']} | {figures['bytes'] / 1000:.0f} kB | {accuracy} "
            f"| {streams or 'not measured'} | {'yes' if figures['stream_form'] else 'no'} |"
        )
    return "\n".join(lines)
