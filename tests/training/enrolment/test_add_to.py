"""`--add-to`: words added to a model with another window or hop than the backbone's."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from support.int8_windows import layer, longer

from kws import models
from kws.config import DecisionConfig
from kws.errors import ConfigError
from kws.files import sha256
from kws.manifest import ModelManifest, WindowForm, write_manifest
from kws.spotter import KeywordSpotter
from training.embedding.backbone import WordBackbone, WordEmbedder
from training.embedding.heads import Head
from training.enrolment.config import Enrolment, EnrolmentConfig
from training.enrolment.recordings import Recording
from training.enrolment.write_model import make_model, merge_manifests, open_base

pytestmark = pytest.mark.slow

# At a hop of 100 ms windows of 98 and of 118 frames end at the same moments.
FRAMES, NEWER, HOP = 118, 6, 8


@pytest.fixture(scope="module")
def demo() -> np.ndarray:
    """The ten words."""
    samples, _ = soundfile.read(models.FIRMWARE_MODELS / "demo.wav", dtype="int16")
    return samples


@pytest.fixture(scope="module")
def far(embedder, tmp_path_factory) -> WordEmbedder:
    """A backbone with a longer window than any shipped model, and a hop of 80 ms."""
    folder = tmp_path_factory.mktemp("far")
    more = FRAMES - embedder.description.window_frames
    content = longer(embedder.backbone.content, n_frames=more, n_newer=NEWER)
    (folder / "far.tflite").write_bytes(content)
    file = replace(
        embedder.description,
        path=folder / "far.json",
        name="far",
        file="far.tflite",
        sha256=sha256(content),
        window_frames=FRAMES,
        window_samples=embedder.description.frontend.n_samples(FRAMES),
        hop_frames=HOP,
    )
    table = {key: value for key, value in asdict(file).items() if key != "path"}
    file.path.write_text(json.dumps(table), encoding="utf-8")
    return WordEmbedder(WordBackbone.read(file.path))


def enrolled(embedder: WordEmbedder, demo: np.ndarray) -> Enrolment:
    """Return a random head with parts of the demo as recordings."""
    rng = np.random.default_rng(3)
    head = Head(("lamp",), (layer(rng, embedder.size, 1, 0.05),))
    middles = range(16_000, len(demo) - 16_000, 24_000)
    recordings = [Recording("lamp", Path("demo.wav"), demo, middle) for middle in middles]
    return Enrolment(head, tails={}, thresholds={}, recordings={"lamp": recordings})


def made(
    embedder: WordEmbedder, demo: np.ndarray, out: Path, *, add_to: str | Path
) -> ModelManifest:
    """Return a model that adds "lamp" to another."""
    base = open_base(str(add_to), embedder.description, ["lamp"])
    found, config = enrolled(embedder, demo), EnrolmentConfig()
    return make_model(embedder, found, config, out, name="lamp", metrics={}, base=base).manifest


def detect(model: str | Path, samples: np.ndarray, **options):
    """Return the detections of the ten words, and the posteriors by time."""
    words = models.load("default").keywords
    spotter = KeywordSpotter.from_model(model, keywords=words, **options)
    posteriors = {}
    spotter.on_posterior = lambda time_s, posterior, scores: posteriors.update({time_s: posterior})
    return spotter.process(samples), posteriors


def test_a_longer_window_leaves_the_words_as_they_were(far, demo, tmp_path):
    """
    Posteriors, detections and times of `default` stay the same. Scores differ slightly, because
    the speech context starts later with a longer window.
    """
    manifest = made(far, demo, tmp_path, add_to="default")

    before, ours = detect("default", demo, mode="window")
    after, theirs = detect(manifest.path, demo, mode="window")

    assert [(one.keyword, one.time_s) for one in before] == [
        (one.keyword, one.time_s) for one in after
    ]
    np.testing.assert_allclose(
        [one.score for one in before], [one.score for one in after], atol=0.01
    )
    assert 10 == len({one.keyword for one in before})
    # The speech context applies to the ten words, and not to the added one.
    assert models.load("default").decision.context_weights == manifest.decision.context_weights
    # There is no posterior before the first longer window is full.
    late = [time_s for time_s in ours if time_s < min(theirs)]
    assert (FRAMES - 98) // 10 == len(late)
    assert set(ours) - set(late) == set(theirs)
    for time_s, posterior in theirs.items():
        np.testing.assert_array_equal(ours[time_s], posterior[: len(ours[time_s])])


def test_the_hop_is_that_of_the_backbone(far, demo, tmp_path):
    """The streaming model has the backbone's hop; smoothing and suppression keep their length."""
    manifest = made(far, demo, tmp_path, add_to="default")

    found, _ = detect(manifest.path, demo, hop_ms=10 * HOP, mode="stream")

    before, _ = detect("default", demo, hop_ms=10 * HOP, mode="window")
    assert [one.keyword for one in before] == [one.keyword for one in found]
    assert HOP == manifest.stream.hop_frames
    assert FRAMES == manifest.window.window_frames
    was, now = models.load("default").decision, manifest.decision
    assert (was.smoothing_ms, was.suppression_ms) == (now.smoothing_ms, now.suppression_ms)
    # The mean of five posteriors: see test_the_threshold_of_an_added_word.
    assert {**was.thresholds, "lamp": 0.25} == now.thresholds


def test_a_model_of_a_longer_window_is_added_to(embedder, demo, tmp_path):
    """The window of the base model is used if it is longer than the backbone's."""
    n_frames = embedder.description.window_frames + 20
    slow = slower(n_frames, tmp_path)
    manifest = made(embedder, demo, tmp_path / "out", add_to=slow)

    before, _ = detect(slow, demo, mode="window")
    after, _ = detect(manifest.path, demo, mode="window")

    assert [(one.keyword, one.time_s) for one in before] == [
        (one.keyword, one.time_s) for one in after
    ]
    np.testing.assert_allclose(
        [one.score for one in before], [one.score for one in after], atol=0.01
    )
    assert 10 == len({one.keyword for one in before})
    assert n_frames == manifest.window.window_frames
    assert embedder.description.hop_frames == manifest.stream.hop_frames


def slower(n_frames: int, folder: Path) -> Path:
    """Write a model of the ten words with a longer window and a delay."""
    manifest = models.load("default")
    more = n_frames - manifest.window.window_frames
    content = longer(manifest.read_form(manifest.window), n_frames=more, n_newer=4)
    (folder / "slow.tflite").write_bytes(content)
    n_samples = manifest.frontend.n_samples(n_frames)
    window = WindowForm("slow.tflite", sha256(content), n_samples, n_frames)
    path = folder / "slow.json"
    write_manifest(replace(manifest, name="slow", window=window, stream=None), path)
    return path


def test_words_can_be_added_repeatedly():
    """Each addition has its own label for "none of the added words"."""
    default = models.load("default")

    lamp = merge_manifests(
        default,
        replace(default, labels=("lamp", "_unknown_"), decision=DecisionConfig()),
        hop_s=0.08,
    )
    fan = merge_manifests(
        lamp,
        replace(default, labels=("fan", "_unknown_"), decision=DecisionConfig()),
        hop_s=0.08,
    )

    assert (*default.labels, "lamp", "_other_", "fan", "_other_2_") == fan.labels


@pytest.mark.parametrize(("smoothing_ms", "expected"), [(400, 0.25), (240, 0.417), (160, 0.5)])
def test_the_threshold_of_an_added_word(smoothing_ms, expected):
    """
    It is lower if more posteriors are averaged; the other thresholds stay.
    """
    default = models.load("default")
    slow = replace(default, decision=replace(default.decision, smoothing_ms=smoothing_ms))

    made = merge_manifests(
        slow,
        replace(default, labels=("lamp", "_unknown_"), decision=DecisionConfig()),
        hop_s=0.08,
    )

    assert expected == made.decision.threshold("lamp")
    kept = {word: default.decision.threshold(word) for word in default.keywords}
    assert kept == {word: made.decision.threshold(word) for word in default.keywords}


def test_a_hop_that_the_strides_do_not_divide_is_refused(embedder):
    """One line names the stride of `default`, 2, and the hop, 5."""
    file = replace(embedder.description, hop_frames=5)

    with pytest.raises(ConfigError, match=r"--add-to default: .* every 5 frames.* 2, got 5"):
        open_base("default", file, ["lamp"])


def test_another_front_end_is_refused(embedder):
    """Models with different features cannot be combined."""
    file = replace(embedder.description, frontend=replace(embedder.description.frontend, n_mels=32))

    with pytest.raises(ConfigError, match="expected a model with the front end of the backbone"):
        open_base("default", file, ["lamp"])
