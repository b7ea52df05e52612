"""From a taught head to the files that the runtime takes: both forms, manifest, parity."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws import __version__
from kws.config import DecisionConfig
from kws.errors import ConfigError, KwsError
from kws.features.streaming import log_mel
from kws.files import sha256
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, WindowForm, write_manifest
from training.embedding.attach_head import graft
from training.embedding.word_backbone import Backbone
from training.enrolment.add_to import Base
from training.enrolment.config import EnrolmentConfig, Taught
from training.tflite.merge_models import merge_models
from training.tflite.stream_export import add_streaming_model

logger = logging.getLogger(__name__)
REST, OTHER = "_unknown_", "_other_"
"""None of the words; beside a model that has a `REST` of its own, none of the own words."""

THRESHOLD = 0.5
# A click or a syllable that looks like the word at a single hop is passed.
SMOOTHING_HOPS, SUPPRESSION_MS = 2, 800
# Where another model's smoothing averages more posteriors than the two that the word was tried
# with, so much of what two would bring: `_threshold_among`.
ROUND_ABOUT = 1.25
# Int8 weights move a posterior by so much, in the middle of its range; more where the features come
# in the int8 steps of another model's input.
MOST_DIFFERENCE, MOST_DIFFERENCE_ADDED = 0.08, 0.15


class ParityError(KwsError, RuntimeError):
    """The exported model says something else than what was taught."""


@dataclass(frozen=True)
class Made:
    """A model that lies in a folder, and how far it is from what was taught."""

    manifest: ModelManifest
    most_difference: float
    """Largest difference of a posterior from the taught head's, on the recordings."""


def make_model(
    backbone: Backbone,
    taught: Taught,
    config: EnrolmentConfig,
    out: Path,
    *,
    name: str,
    metrics: Mapping[str, Any],
    base: Base | None = None,
) -> Made:
    """Write ``NAME.tflite``, ``NAME.stream.tflite`` and ``NAME.json`` into `out`.

    Nothing is written unless the model says what was taught: the files are made in a folder of
    their own and then moved, the manifest last. With a `base`, its words and their thresholds
    come first, and it keeps saying what it said (`beside` tells how exactly).

    Raises
    ------
    ParityError
        If a posterior is more than 0.08 from the taught head's; 0.15 with a `base`.
    ConfigError
        If `name` is no name of a file.
    """
    if Path(name).name != name or name.startswith("."):
        raise ConfigError(f"expected a name for files, got {name!r}")
    n_samples = backbone.file.window_samples
    everything = [one for found in taught.recordings.values() for one in found]
    samples = [one.window(n_samples=n_samples) for one in everything]
    spans = hidden_spans(taught, backbone.embed(samples))
    content = graft(backbone.content, taught.head, spans=spans, where=backbone.file.file)
    if base:
        content = merge_models(base.content, content, where=f"{base.manifest.name} + {name}")
    manifest = _manifest(backbone, taught, config, name=name, content=content, metrics=metrics)
    if base:
        manifest = beside(base.manifest, manifest, hop_s=backbone.hop_s)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kws-", dir=out) as folder:
        staging = Path(folder)
        staged = replace(manifest, path=staging / f"{name}.json")
        (staging / manifest.window.file).write_bytes(content)
        write_manifest(staged, staged.path)
        difference = check_parity(staged, backbone, taught, samples)
        frames = _frames(manifest, samples)
        hop_frames = backbone.file.hop_frames
        final, _ = add_streaming_model(staged, frames, hop_frames=hop_frames, out=staging)
        assert final.stream is not None
        for file in (final.window.file, final.stream.file, f"{name}.json"):
            (staging / file).replace(out / file)
    return Made(replace(final, path=out / f"{name}.json"), difference)


def hidden_spans(taught: Taught, embeddings: NDArray[np.float32]) -> list[float]:
    """Return for each hidden layer the largest output, with room for what was not heard."""
    spans, x = [], embeddings
    for layer in taught.head.layers[:-1]:
        x = np.maximum(x @ layer.weights + layer.bias, 0)
        spans.append(1.25 * float(max(x.max(), 1e-3)))
    return spans


def check_parity(
    manifest: ModelManifest,
    backbone: Backbone,
    taught: Taught,
    samples: Sequence[NDArray[np.int16]],
) -> float:
    """Return the largest difference of the model's posteriors from the taught head's.

    Raises
    ------
    ParityError
        If it is more than `MOST_DIFFERENCE`, or what an added one may have.
    """
    model = WindowModel(manifest, hop_frames=backbone.file.hop_frames)
    n_frames = backbone.file.window_frames
    # The longer window of a model that the words were added to ends with the backbone's.
    before = ((manifest.window.window_frames - n_frames, 0), (0, 0))
    windows = [log_mel(one, manifest.frontend)[:n_frames] for one in samples]
    heard = np.stack([model.predict(np.pad(one, before, mode="edge")) for one in windows])
    wanted = taught.head.posteriors(backbone.embed(samples))
    # Behind the labels of a model that the words were added to.
    heard = heard[:, -wanted.shape[1] :]
    difference = float(np.abs(heard - wanted).max())
    is_added = len(manifest.labels) > wanted.shape[1]
    most = MOST_DIFFERENCE_ADDED if is_added else MOST_DIFFERENCE
    if difference > most:
        raise ParityError(
            f"{manifest.window.file}: expected posteriors within {most} of what was "
            f"taught, got {difference:.3f}; --head logistic loses the least"
        )
    return difference


def beside(base: ModelManifest, own: ModelManifest, *, hop_s: float) -> ModelManifest:
    """Return the manifest of a model that says what both say.

    Kept exactly: at each moment the posteriors of the base's words, which depend on its own
    window alone; their thresholds; the quiet time in ms. Kept in time: the smoothing. It is that
    of the base in ms, of which the runtime makes whole hops, so that at another hop another
    number of posteriors is averaged (400 ms: 4 of them every 100 ms, 5 every 80 ms).
    The window is the longer of the two, so that the first posterior comes when that is full.
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
        # The words that were there are decided on as they were tuned.
        decision=replace(
            decision,
            thresholds={**thresholds, **dict.fromkeys(own.keywords, _threshold_among(n_averaged))},
        ),
        description=f"{base.name} {base.version}, and own words: {', '.join(own.keywords)}",
        attribution=tuple(dict.fromkeys((*base.attribution, *own.attribution))),
        training={**own.training, "added_to": f"{base.name} {base.version}"},
    )


def _threshold_among(n_averaged: int) -> float:
    """Return the threshold of an own word among so many averaged posteriors.

    It was set for the mean of two hops to reach a half, that is for a sum of 1. A short word is
    sure at two or three of the hops that a longer smoothing averages, and at none of the others:
    the sum it asks for is that of two, and a quarter more for what the others add by chance. With
    ten recordings of `computer` and of `jarvis`, four draws each, five hops and 0.25 miss 10.1 and
    1.9 % at 0 and 0.55 false accepts an hour; two hops and 0.5 10.3 and 2.0 % at 0 and 0.66.
    """
    if n_averaged <= SMOOTHING_HOPS:
        return THRESHOLD
    return round(ROUND_ABOUT * SMOOTHING_HOPS * THRESHOLD / n_averaged, 3)


def _rest(base: ModelManifest) -> str:
    """Return what "none of the own words" is called; more may have been added before."""
    names = itertools.chain([OTHER], (f"_other_{number}_" for number in itertools.count(2)))
    return next(name for name in names if name not in base.labels)


def _frames(manifest: ModelManifest, samples: Sequence[NDArray[np.int16]]) -> NDArray[np.float32]:
    """Return log-mel of some recordings in a row, long enough to try the stream on."""
    silence = np.zeros(2 * manifest.window.window_samples, np.int16)
    return log_mel(np.concatenate([*samples[:10], silence]), manifest.frontend)


def _manifest(
    backbone: Backbone,
    taught: Taught,
    config: EnrolmentConfig,
    *,
    name: str,
    content: bytes,
    metrics: Mapping[str, Any],
) -> ModelManifest:
    file = backbone.file
    words = taught.head.words
    return ModelManifest(
        name=name,
        version="1",
        labels=(*words, REST),
        frontend=file.frontend,
        window=WindowForm(
            file=f"{name}.tflite",
            sha256=sha256(content),
            window_samples=file.window_samples,
            window_frames=file.window_frames,
        ),
        decision=DecisionConfig(
            smoothing_ms=round(1000 * SMOOTHING_HOPS * backbone.hop_s),
            suppression_ms=SUPPRESSION_MS,
            default_threshold=THRESHOLD,
            thresholds=dict.fromkeys(words, THRESHOLD),
        ),
        description=f"Own words: {', '.join(words)}",
        licence=file.licence,
        attribution=file.attribution,
        metrics=dict(metrics),
        training={
            "backbone": f"{file.name} {file.version}",
            "backbone_sha256": file.sha256,
            "head": config.head,
            "seed": config.seed,
            "recordings": {word: len(found) for word, found in taught.recordings.items()},
            "synthesised_voices": dict(taught.voices),
            "date": date.today().isoformat(),
            "kws": __version__,
        },
    )
