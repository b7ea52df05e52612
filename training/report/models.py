"""The models of a report: opened and checked before anything is measured, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws import models
from kws.errors import ConfigError, ModelError
from kws.inference.select import own_hop_ms
from kws.manifest import ModelManifest, StreamForm, WindowForm
from kws.spotter import KeywordSpotter
from training.evaluation.clips import ClipScorer


@dataclass(frozen=True)
class Subject:
    """A model of the report."""

    title: str
    """The manifest's name, with its folder where two models have the same name."""

    asked: str
    """What was typed to name it."""

    manifest: ModelManifest
    scorer: ClipScorer
    runtime: str | None
    kernels: str

    @property
    def window_s(self) -> float:
        """Audio that the model sees, in seconds."""
        return self.manifest.window.window_samples / self.manifest.frontend.sample_rate

    @property
    def forms(self) -> dict[str, WindowForm | StreamForm]:
        """The forms that the model has, by name."""
        forms: dict[str, WindowForm | StreamForm] = {"window": self.manifest.window}
        return {**forms, "stream": self.manifest.stream} if self.manifest.stream else forms

    def spotter(self) -> KeywordSpotter:
        """Return what `kws-eval stream` runs."""
        return KeywordSpotter.from_model(self.asked, runtime=self.runtime, kernels=self.kernels)


def open_subjects(
    names: Sequence[str], *, runtime: str | None = None, kernels: str = "default"
) -> list[Subject]:
    """Return the models, each read, checked and opened in all its forms.

    A broken one ends the report here, before minutes go into the others.

    Raises
    ------
    KwsError
        If one cannot be found, is not what its manifest says, or does not run.
    """
    manifests = [models.load(name) for name in names]
    titles = _titles(manifests)
    if len(set(titles)) < len(titles):
        raise ConfigError(f"report: expected each model once, got {', '.join(names)}")
    found = []
    for name, title, manifest in zip(names, titles, manifests):
        scorer = ClipScorer.open(manifest, runtime=runtime, kernels=kernels)
        subject = Subject(title, name, manifest, scorer, runtime, kernels)
        # Opens the stream form, where there is one, and the decision stage.
        subject.spotter()
        found.append(subject)
    return found


def facts(subject: Subject) -> dict[str, Any]:
    """Return what is known of a model without running it: size, multiplications, checksums."""
    manifest = subject.manifest
    files = {name: subject.manifest.read_form(form) for name, form in subject.forms.items()}
    return {
        "model": manifest.name,
        "title": subject.title,
        "version": manifest.version,
        "description": manifest.description,
        "licence": manifest.licence,
        "words": len(manifest.keywords),
        "sha256": {name: form.sha256 for name, form in subject.forms.items()},
        "bytes": {name: len(content) for name, content in files.items()},
        **_cost(manifest, files),
        "recipe": _recipe(manifest),
        "manifest_metrics": {
            name: manifest.metrics.get(name) for name in ("accuracy", "n", "split", "data")
        },
        "runtime": subject.scorer.model.opened.runtime,
        "runtime_version": subject.scorer.model.opened.runtime_version,
    }


def _recipe(manifest: ModelManifest) -> str | None:
    recipe = manifest.training.get("recipe")
    return recipe.get("name") if isinstance(recipe, Mapping) else recipe


def _cost(manifest: ModelManifest, files: dict[str, bytes]) -> dict[str, Any]:
    """Return parameters and multiplications; None with the reason where nothing can count them."""
    parameters = manifest.training.get("parameters")
    hop_ms = own_hop_ms(manifest)
    macs: dict[str, Any] = {"window": None, "hop": None, "hop_ms": hop_ms, "note": None}
    try:
        from training.tflite.cost import file_cost

        costs = {name: file_cost(content, where=name) for name, content in files.items()}
    except ModuleNotFoundError as error:
        macs["note"] = f"counted with ai-edge-litert only ({error.name} is missing)"
    except ModelError as error:
        macs["note"] = str(error)
    else:
        window = costs["window"]
        # Without a stream form the whole window is computed at every hop.
        macs["window"], macs["hop"] = window.macs, costs.get("stream", window).macs
        if window.not_counted:
            macs["note"] = f"without {', '.join(window.not_counted)}"
        # What the file holds, so that all models are counted alike.
        parameters = window.weights
    return {"parameters": parameters, "macs": macs}


def _titles(manifests: Sequence[ModelManifest]) -> list[str]:
    names = [manifest.name for manifest in manifests]
    return [
        name if names.count(name) == 1 else f"{name} ({_folder(manifest.path)})"
        for name, manifest in zip(names, manifests)
    ]


def _folder(path: Path) -> str:
    return path.resolve().parent.name
