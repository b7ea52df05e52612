"""The models of a report: opened and checked, their size and cost, and a table of manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kws import models
from kws.errors import ConfigError, ModelError
from kws.inference.select import default_hop_ms
from kws.manifest import ModelManifest, StreamForm, WindowForm
from kws.spotter import KeywordSpotter
from training.evaluation.clips import ClipScorer
from training.report.tables import Table, percent

try:
    from training.tflite.cost import file_cost
except ModuleNotFoundError:  # 32-bit systems have no ai-edge-litert.
    file_cost = None  # type: ignore[assignment]


@dataclass(frozen=True)
class ReportModel:
    """A model, opened for a report."""

    title: str
    """The name in the manifest, with the folder where two models have the same name."""

    asked: str
    """The name or path that the user typed."""

    manifest: ModelManifest
    scorer: ClipScorer
    runtime: str | None
    kernels: str

    @property
    def forms(self) -> dict[str, WindowForm | StreamForm]:
        """The non-streaming model (``window``) and, if there is one, the streaming one."""
        forms: dict[str, WindowForm | StreamForm] = {"window": self.manifest.window}
        return {**forms, "stream": self.manifest.stream} if self.manifest.stream else forms

    def spotter(self) -> KeywordSpotter:
        """Return a spotter, as `kws-eval stream` runs it."""
        return KeywordSpotter.from_model(self.asked, runtime=self.runtime, kernels=self.kernels)


def open_models(
    names: Sequence[str], *, runtime: str | None = None, kernels: str = "default"
) -> list[ReportModel]:
    """Open and check all models, so that a broken one fails before anything is measured.

    Raises
    ------
    KwsError
        If a model cannot be found, does not match its manifest, or does not run.
    """
    manifests = [models.load(name) for name in names]
    titles = _titles(manifests)
    if len(set(titles)) < len(titles):
        raise ConfigError(f"report: expected each model once, got {', '.join(names)}")
    found = []
    for name, title, manifest in zip(names, titles, manifests):
        scorer = ClipScorer.open(manifest, runtime=runtime, kernels=kernels)
        model = ReportModel(title, name, manifest, scorer, runtime, kernels)
        # Opens the streaming model, if there is one, and the decision stage.
        model.spotter()
        found.append(model)
    return found


def facts(model: ReportModel) -> dict[str, Any]:
    """Return size, multiplications, checksums and manifest figures of a model."""
    manifest = model.manifest
    recipe = manifest.training.get("recipe")
    files = {name: manifest.read_form(form) for name, form in model.forms.items()}
    return {
        "model": manifest.name,
        "title": model.title,
        "version": manifest.version,
        "description": manifest.description,
        "licence": manifest.licence,
        "words": len(manifest.keywords),
        "sha256": {name: form.sha256 for name, form in model.forms.items()},
        "bytes": {name: len(content) for name, content in files.items()},
        **_cost(manifest, files),
        "recipe": recipe.get("name") if isinstance(recipe, Mapping) else recipe,
        "manifest_metrics": {
            name: manifest.metrics.get(name) for name in ("accuracy", "n", "split", "data")
        },
        "runtime": model.scorer.model.opened.runtime,
        "runtime_version": model.scorer.model.opened.runtime_version,
    }


def _cost(manifest: ModelManifest, files: dict[str, bytes]) -> dict[str, Any]:
    """Return parameters and multiplications; None, with a note, if they cannot be counted."""
    parameters = manifest.training.get("parameters")
    hop_ms = default_hop_ms(manifest)
    macs: dict[str, Any] = {"window": None, "hop": None, "hop_ms": hop_ms, "note": None}
    if file_cost is None:
        macs["note"] = "counting them needs ai-edge-litert"
        return {"parameters": parameters, "macs": macs}
    try:
        costs = {name: file_cost(content, where=name) for name, content in files.items()}
    except ModelError as error:
        macs["note"] = str(error)
    else:
        window = costs["window"]
        # Without a streaming model the whole window is computed at every hop.
        macs["window"], macs["hop"] = window.macs, costs.get("stream", window).macs
        if window.not_counted:
            macs["note"] = f"without {', '.join(window.not_counted)}"
        # The weights in the file, so that all models are counted alike.
        parameters = window.weights
    return {"parameters": parameters, "macs": macs}


def _titles(manifests: Sequence[ModelManifest]) -> list[str]:
    names = [manifest.name for manifest in manifests]
    return [
        name if names.count(name) == 1 else f"{name} ({manifest.path.resolve().parent.name})"
        for name, manifest in zip(names, manifests)
    ]


def manifest_row(manifest: ModelManifest) -> dict[str, Any]:
    """Return the figures in a manifest; None where it has none."""
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


def manifest_table(manifests: Sequence[ModelManifest]) -> Table:
    """Return a table of the figures in manifests."""
    rows = []
    for manifest in manifests:
        figures = manifest_row(manifest)
        accuracy = "not measured"
        if figures["accuracy"] is not None:
            accuracy = f"{percent(figures['accuracy'])} ({figures['n']}, {figures['split']})"
        streams = "; ".join(
            f"{name}: {percent(part['false_reject_rate'])}, {part['false_accepts_per_hour']:.2f}"
            for name, part in figures["streams"].items()
        )
        rows.append(
            (
                f"{figures['model']} {figures['version']}",
                str(figures["words"]),
                str(figures["parameters"]),
                f"{figures['bytes'] / 1000:.0f} kB",
                accuracy,
                streams or "not measured",
                "yes" if figures["stream_form"] else "no",
            )
        )
    head = (
        *("model", "words", "parameters", "int8 file", "accuracy (clips, split)"),
        *("long audio: missed, false alarms per hour", "streaming"),
    )
    return Table(head, tuple(rows))
