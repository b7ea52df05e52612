"""From an enrolment to the model files, alone or added to the words of another model."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws import __version__, models
from kws.config import UNKNOWN, DecisionConfig
from kws.errors import ConfigError
from kws.features.streaming import log_mel
from kws.files import sha256
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, WindowForm, write_manifest
from training.embedding.attach_head import attach_head
from training.embedding.backbone import WordBackbone, WordEmbedder
from training.enrolment.calibration import SMOOTHING_HOPS
from training.enrolment.config import SUPPRESSION_MS, THRESHOLD, Enrolment, EnrolmentConfig
from training.tflite.graph import Graph
from training.tflite.merge_models import merge_models
from training.tflite.stream_export import ParityError, add_streaming_model
from training.tflite.stream_plan import NotStreamableError, plan_stream

OTHER = "_other_"
"""Label for none of the added words, beside a base model that has its own `_unknown_`."""

ADDED_MARGIN = 1.25

# Int8 weights move a posterior this much in the middle of its range. Beside another model they
# move it more, because the features come in the int8 steps of that model's input.
MAX_DIFFERENCE, MAX_DIFFERENCE_ADDED = 0.08, 0.2


def open_base(name_or_path: str, backbone: WordBackbone, words: Sequence[str]) -> ModelManifest:
    """Return the model whose words are kept; its window may differ from the backbone's.

    Raises
    ------
    ConfigError
        If it has one of the words already, has another front end than the backbone, or cannot
        run at the backbone's hop.
    """
    manifest = models.load(name_or_path)
    there = sorted(set(words) & set(manifest.keywords))
    if there:
        raise ConfigError(
            f"--add-to {name_or_path}: it has {', '.join(there)} already; "
            "give your word another name, or enrol it without --add-to"
        )
    if manifest.frontend != backbone.frontend:
        raise ConfigError(
            f"--add-to {name_or_path}: expected a model with the front end of the backbone "
            f"{backbone.name}, such as default, tiny or large"
        )
    graph = Graph(manifest.read_form(manifest.window), where=manifest.window.file)
    try:
        # Checked before fitting, which takes a while.
        plan_stream(graph, hop_frames=backbone.hop_frames)
    except NotStreamableError as error:
        raise ConfigError(
            f"--add-to {name_or_path}: expected a model that can run every "
            f"{backbone.hop_frames} frames, as the backbone {backbone.name} does: {error}"
        ) from error
    return manifest


@dataclass(frozen=True)
class ExportedModel:
    """A model on disk, and how closely it matches the enrolled head."""

    manifest: ModelManifest
    max_difference: float
    """Largest difference of a posterior from the float head's, on the recordings."""


def make_model(
    embedder: WordEmbedder,
    enrolment: Enrolment,
    config: EnrolmentConfig,
    out: Path,
    *,
    name: str,
    metrics: Mapping[str, Any],
    base: ModelManifest | None = None,
) -> ExportedModel:
    """Write ``NAME.tflite``, ``NAME.stream.tflite`` and ``NAME.json`` into `out`.

    The files are made and checked in a temporary folder, then moved; the manifest comes last.
    With a `base`, its words and thresholds come first and stay as they were (`merge_manifests`).

    Raises
    ------
    ParityError
        If a posterior differs from the float head's by more than 0.08; 0.2 with a `base`.
    ConfigError
        If `name` is no file name.
    """
    if Path(name).name != name or name.startswith("."):
        raise ConfigError(f"--name: expected a file name, got {name!r}")
    backbone = embedder.description
    recordings = [one for found in enrolment.recordings.values() for one in found]
    samples = [one.window(n_samples=backbone.window_samples) for one in recordings]
    content = attach_head(
        embedder.backbone.content, enrolment.head, embedder.embed(samples), where=backbone.file
    )
    if base:
        content = merge_models(base.read_form(base.window), content, where=f"{base.name} + {name}")
    manifest = _manifest(embedder, enrolment, config, name=name, content=content, metrics=metrics)
    if base:
        manifest = merge_manifests(base, manifest, hop_s=embedder.hop_s)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kws-", dir=out) as folder:
        staging = Path(folder)
        staged = replace(manifest, path=staging / f"{name}.json")
        (staging / manifest.window.file).write_bytes(content)
        write_manifest(staged, staged.path)
        difference = check_parity(staged, embedder, enrolment, samples)
        frames = _stream_frames(manifest, samples)
        final, _ = add_streaming_model(staged, frames, hop_frames=backbone.hop_frames, out=staging)
        assert final.stream is not None
        for file in (final.window.file, final.stream.file, f"{name}.json"):
            (staging / file).replace(out / file)
    return ExportedModel(replace(final, path=out / f"{name}.json"), difference)


def check_parity(
    manifest: ModelManifest,
    embedder: WordEmbedder,
    enrolment: Enrolment,
    samples: Sequence[NDArray[np.int16]],
) -> float:
    """Return the largest difference of the model's posteriors from the float head's.

    Raises
    ------
    ParityError
        If it exceeds `MAX_DIFFERENCE`, or `MAX_DIFFERENCE_ADDED` beside another model.
    """
    backbone = embedder.description
    model = WindowModel(manifest, hop_frames=backbone.hop_frames)
    n_frames = backbone.window_frames
    # The longer window of a base model ends when the backbone's does.
    padding = ((manifest.window.window_frames - n_frames, 0), (0, 0))
    windows = [log_mel(one, manifest.frontend)[:n_frames] for one in samples]
    found = np.stack([model.predict(np.pad(one, padding, mode="edge")) for one in windows])
    expected = enrolment.head.posteriors(embedder.embed(samples))
    # The labels of a base model come first.
    found = found[:, -expected.shape[1] :]
    difference = float(np.abs(found - expected).max())
    is_added = len(manifest.labels) > expected.shape[1]
    most = MAX_DIFFERENCE_ADDED if is_added else MAX_DIFFERENCE
    if difference > most:
        raise ParityError(
            f"{manifest.window.file}: expected posteriors within {most} of the float head's, got "
            f"{difference:.3f}"
        )
    return difference


def _stream_frames(
    manifest: ModelManifest, samples: Sequence[NDArray[np.int16]]
) -> NDArray[np.float32]:
    """Return log-mel of some recordings and silence, to test the streaming model on."""
    silence = np.zeros(2 * manifest.window.window_samples, np.int16)
    return log_mel(np.concatenate([*samples[:10], silence]), manifest.frontend)


def _manifest(
    embedder: WordEmbedder,
    enrolment: Enrolment,
    config: EnrolmentConfig,
    *,
    name: str,
    content: bytes,
    metrics: Mapping[str, Any],
) -> ModelManifest:
    backbone = embedder.description
    words = enrolment.head.words
    return ModelManifest(
        name=name,
        version="1",
        labels=(*words, UNKNOWN),
        frontend=backbone.frontend,
        window=WindowForm(
            file=f"{name}.tflite",
            sha256=sha256(content),
            window_samples=backbone.window_samples,
            window_frames=backbone.window_frames,
        ),
        decision=DecisionConfig(
            smoothing_ms=round(1000 * SMOOTHING_HOPS * embedder.hop_s),
            suppression_ms=SUPPRESSION_MS,
            default_threshold=THRESHOLD,
            thresholds=dict.fromkeys(words, THRESHOLD),
        ),
        description=f"Own words: {', '.join(words)}",
        licence=backbone.licence,
        attribution=backbone.attribution,
        metrics=dict(metrics),
        training={
            "backbone": f"{backbone.name} {backbone.version}",
            "backbone_sha256": backbone.sha256,
            "head": "logistic",
            "seed": config.seed,
            "recordings": {word: len(found) for word, found in enrolment.recordings.items()},
            "synthesised_voices": dict(enrolment.voices),
            "date": date.today().isoformat(),
            "kws": __version__,
        },
    )


def merge_manifests(base: ModelManifest, own: ModelManifest, *, hop_s: float) -> ModelManifest:
    """Return the manifest of a model that has the words of both.

    The posteriors of the base's words, their thresholds, and smoothing and suppression in ms stay
    the same. At another hop the smoothing averages another number of posteriors (400 ms: four
    every 100 ms, five every 80 ms). The window is the longer one of the two.
    """
    decision = base.decision
    thresholds = {word: decision.threshold(word) for word in base.keywords}
    n_averaged = round(decision.smoothing_ms / (1000 * hop_s))
    longer = max(base.window, own.window, key=lambda form: form.window_frames)
    return replace(
        own,
        labels=(*base.labels, *own.keywords, _rest(base)),
        window=replace(
            own.window,
            window_frames=longer.window_frames,
            window_samples=longer.window_samples,
        ),
        decision=replace(
            decision,
            thresholds={**thresholds, **dict.fromkeys(own.keywords, _added_threshold(n_averaged))},
        ),
        description=f"{base.name} {base.version}, and enrolled words: {', '.join(own.keywords)}",
        attribution=tuple(dict.fromkeys((*base.attribution, *own.attribution))),
        training={**own.training, "added_to": f"{base.name} {base.version}"},
    )


def _added_threshold(n_averaged: int) -> float:
    """Return the threshold of an enrolled word whose score is the mean of so many posteriors.

    The threshold was set for two hops. A word scores high at two or three hops only, so the sum of
    the posteriors must reach what two hops need, and a quarter more for the noise of the others.
    docs/own-words.md has the measurement.
    """
    if n_averaged <= SMOOTHING_HOPS:
        return THRESHOLD
    return round(ADDED_MARGIN * SMOOTHING_HOPS * THRESHOLD / n_averaged, 3)


def _rest(base: ModelManifest) -> str:
    """Return a free label for "none of the added words"."""
    names = itertools.chain([OTHER], (f"_other_{number}_" for number in itertools.count(2)))
    return next(name for name in names if name not in base.labels)
