"""Networks on waveforms and linear spectrograms: trained, exported, and run by every command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from kws import KeywordSpotter, models
from kws.cli import bench as kws_bench
from kws.cli import listen as kws_listen
from kws.cli import models as kws_models
from kws.decision.policy import Detection
from kws.errors import ModelError
from kws.features.frontends import ClipFeatures
from kws.inference.quantization import dequantize, quantize
from kws.manifest import read_manifest
from training.architectures.recipe_model import build_model
from training.batches.preview import draw_augmentation
from training.cli import evaluate as kws_eval
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.export import export as exports
from training.fit import trainer as fits
from training.fit.hard_negatives import find_hard_negatives

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
DEMO = models.FIRMWARE_MODELS / "demo.wav"
# Shipped recipes, with networks small enough for a test.
SMALL = {
    "conv1d-8k": {"stem": [4, 80, 16], "stages": [[6, 5, 4]]},
    "conv1d-skip-spectrogram": {"stem": [8, 5, 2], "stages": [[8, 3, 2]]},
}


def small_recipe(name: str, clips: Path, speech: str = "") -> recipes.Recipe:
    overrides: dict[str, Any] = {
        "data.clips": str(clips),
        "data.speech": speech,
        "data.speech_split": "talk",
        "data.environment": "",
        "data.rooms": "",
        "data.keywords": ["yes", "no"],
        "model.params": SMALL[name],
        "fit.epochs": 1,
        "fit.clips_per_epoch": 192,
        "fit.batch_size": 16,
        "fit.learning_rate": 0.02,
        "fit.warmup_epochs": 0.1,
        "fit.ema_momentum": 0.5,
        "export.calibration_clips": 32,
        "export.max_accuracy_loss": 0.3,
        # Any sound fires; the tests compare detections.
        "decision.default_threshold": 0.05,
    }
    return recipes.load(name, overrides=overrides)


@pytest.fixture(scope="module")
def clips(tmp_path_factory, write_tree) -> Path:
    counts = {word: {"training": 6, "validation": 4} for word in ("yes", "no", "cat")}
    return write_tree(tmp_path_factory.mktemp("data") / "clips", counts, noise_s=30)


@pytest.fixture(scope="module", params=sorted(SMALL))
def run(request, clips, tmp_path_factory) -> RunFolder:
    """A few training steps of each recipe."""
    out = tmp_path_factory.mktemp("runs") / request.param
    return fits.fit(small_recipe(request.param, clips), out, verbose=0)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    """The manifest of the exported model."""
    return exports.export(run, tmp_path_factory.mktemp("models"), name="wave")


def listen(
    spotter: KeywordSpotter, audio: np.ndarray, size: int
) -> tuple[list[Detection], list[tuple[float, bytes]]]:
    """Return the detections and hops of audio that comes in chunks of `size`."""
    hops: list[tuple[float, bytes]] = []
    spotter.on_posterior = lambda time_s, row, _: hops.append((time_s, row.tobytes()))
    detections: list[Detection] = []
    for at in range(0, len(audio), size):
        detections += spotter.process(audio[at : at + size])
    spotter.on_posterior = None
    return detections, hops


def test_the_export_is_one_full_int8_model(exported):
    """
    One .tflite file whose input has the manifest's shape; a network that pads cannot stream.
    """
    manifest = read_manifest(exported)
    spotter = KeywordSpotter.from_model(exported)
    (given,) = spotter.model.opened.inputs

    assert ["wave.json", "wave.tflite"] == sorted(path.name for path in exported.parent.iterdir())
    assert (np.int8, (1, *manifest.frontend.shape(manifest.window.window_frames))) == (
        given.dtype,
        given.shape,
    )
    assert manifest.window.window_samples == 8_000
    assert manifest.metrics["n"] == 16


def test_the_runtime_keeps_its_promises(exported, demo_audio):
    """
    Real speech in chunks of any size, after a reset, after a gap: equal posteriors and detections.
    """
    spotter = KeywordSpotter.from_model(exported)
    audio = demo_audio[:50_000]
    whole = detections, hops = listen(spotter, audio, len(audio))

    assert len(detections) > 0
    assert len({row for _, row in hops}) > 5
    for size in (1_601, 1_600, 160, 7):
        spotter.reset()

        assert whole == listen(spotter, audio, size)

    spotter.skip(12_345)
    later = listen(spotter, audio, 1_600)

    assert [row for _, row in hops] == [row for _, row in later[1]]
    assert [found.score for found in detections] == [found.score for found in later[0]]


def test_the_posteriors_are_the_networks(exported, run, demo_audio):
    """
    At every hop the runtime's posteriors are close to those of the trained float network.
    """
    manifest, recipe = read_manifest(exported), run.read_recipe()
    spotter = KeywordSpotter.from_model(exported, kernels="reference")
    _, hops = listen(spotter, demo_audio[:48_000], 4_000)
    found = [np.frombuffer(row, np.float32) for _, row in hops]
    features = ClipFeatures(manifest.frontend)(demo_audio[:48_000])
    n, hop = manifest.window.window_frames, spotter.model.hop_frames
    windows = np.stack([features[at : at + n] for at in range(0, len(features) - n + 1, hop)])
    windows = windows.reshape(len(windows), *manifest.frontend.shape(n))
    network = build_model(recipe)
    network.load_weights(run.best)
    (given,) = spotter.model.opened.inputs
    steps = {"scale": given.scale, "zero_point": given.zero_point}
    # As the int8 input holds it: audio louder than the calibration is clipped.
    int8 = quantize((windows - recipe.frontend.mean) / recipe.frontend.std, **steps, dtype=np.int8)

    expected = network.predict(dequantize(int8, **steps), verbose=0)
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_stream_mode_is_refused_in_one_line(exported):
    """
    There is only the non-streaming model: auto takes it, stream is an error.
    """
    assert KeywordSpotter.from_model(exported).model.mode == "window"
    with pytest.raises(ModelError, match="this model has no stream form; use --mode window"):
        KeywordSpotter.from_model(exported, mode="stream")


def test_kws_models_describes_and_verifies_it(exported, capsys):
    """
    info prints the front end, verify runs the model.
    """
    frontend = read_manifest(exported).frontend

    assert 0 == kws_models.main(["info", str(exported)])
    text = capsys.readouterr().out
    assert f"front end  {frontend.kind}, 8000 Hz" in text
    assert ("8000 samples" if frontend.kind == "waveform" else "126 frames") in text
    assert ("130 bands, 31.25/7.75 ms" in text) == (frontend.kind == "spectrogram")

    kws_models.main(["verify", str(exported)])
    # An untrained network may fire on silence.
    assert capsys.readouterr().out.split(": ", 1)[1].startswith(("ok", "fires "))


def test_kws_listen_and_bench_run_it(exported, capsys):
    """
    Both commands run it on 16 kHz audio at their usual hop.
    """
    assert 0 == kws_listen.main(["--model", str(exported), "--input", str(DEMO), "--json"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[-1]["audio_s"] == pytest.approx(soundfile.info(DEMO).duration, abs=0.01)
    assert records[-1]["detections"] == len([r for r in records if r["type"] == "detection"]) > 0

    assert 0 == kws_bench.main(["--model", str(exported), "--seconds", "6", "--json"])
    report = json.loads(capsys.readouterr().out)
    kind = read_manifest(exported).frontend.kind
    assert (100.75 if kind == "spectrogram" else 100) == report["hop_ms"]
    assert report["hop_us"]["front_end"] > 0


def test_kws_eval_scores_it(exported, clips, tmp_path, capsys):
    """
    Clips, one clip with its picture, and long audio.
    """
    model = ["--model", str(exported)]
    one = next((clips / "yes").glob("*.wav"))

    assert 0 == kws_eval.main(["clips", *model, "--data", str(clips), "--json"])
    assert 30 <= json.loads(capsys.readouterr().out)["n"]

    picture = tmp_path / "clip.png"
    assert 0 == kws_eval.main(["clip", str(one), *model, "--out", str(picture), "--json"])
    assert 1 == pytest.approx(
        sum(json.loads(capsys.readouterr().out)["posterior"].values()), abs=0.05
    )
    assert picture.read_bytes()[:4] == b"\x89PNG"

    truth = models.FIRMWARE_MODELS / "demo.csv"
    stream = ["stream", *model, "--audio", str(DEMO), "--truth", str(truth), "--json"]
    assert 0 == kws_eval.main(stream)
    assert json.loads(capsys.readouterr().out)["hours"] == pytest.approx(
        soundfile.info(DEMO).duration / 3600
    )


def test_hard_negatives_and_pictures_work_at_8_khz(run, clips, tmp_path, rng):
    """
    Windows of running speech are counted in samples of the recording, about ten a second.
    """
    recipe = run.read_recipe()
    (tmp_path / "talk").mkdir()
    samples = (rng.standard_normal(5 * 16_000) * 3_000).astype(np.int16)
    soundfile.write(tmp_path / "talk" / "a.wav", samples, 16_000)
    (tmp_path / "talk.words.csv").write_text(
        "utterance,word,start_sample,n_samples\na,hello,1600,8000\n"
    )
    with_speech = RunFolder(tmp_path / "run")
    with_speech.start(small_recipe(recipe.name, clips, str(tmp_path)))
    with_speech.best.write_bytes(run.best.read_bytes())

    n_found = find_hard_negatives(with_speech, tmp_path / "hard.csv", least=0.0)
    draw_augmentation(recipe, tmp_path / "shown.png")

    with open(tmp_path / "hard.csv", newline="") as handle:
        starts = [int(row["start_sample"]) for row in csv.DictReader(handle)]
    assert {1_612 if recipe.frontend.kind == "spectrogram" else 1_600} == set(np.diff(starts))
    assert max(starts) + 16_000 <= len(samples)
    assert 39 <= n_found <= 41
    assert (tmp_path / "shown.png").read_bytes()[:4] == b"\x89PNG"
