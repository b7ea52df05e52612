"""The encoder of Whisper tiny.en: its front end, its weights, and the embedding it gives."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

import keras
from support.published_weights import published_file
from support.small_caches import parts_of

from kws.errors import ConfigError
from training import architectures
from training.architectures.pretrained import published_network
from training.architectures.whisper_encoder import WhisperLogMel
from training.architectures.whisper_weights import PARTS, load_whisper
from training.batches.clip_cache import SAMPLES, ClipCache
from training.cli import train
from training.config import recipe as recipes
from training.config.sections import TransferConfig
from training.embedding.backbone import Embedder
from training.embedding.keras_backbones import open_keras_backbone
from training.tflite.convert import convert_int8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "whisper-tiny.en"
KIND = f"embedding-{NAME}"


@pytest.fixture(scope="module", autouse=True)
def weights(monkeypatch_module):
    """The published weights; the archive names the layers as CTranslate2 does."""
    path = published_file("KWS_WHISPER", "whisper-tiny.en.safetensors", fetch=NAME)
    monkeypatch_module.setenv("KWS_WHISPER", str(path))
    return path


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    _, model = published_network(NAME)
    return keras.Model(model.input, model.get_layer("embedding").output)


@pytest.fixture(scope="module")
def seconds(demo_audio) -> np.ndarray:
    """Six seconds of real speech, -1..1."""
    starts = range(0, 6 * 8_000, 8_000)
    return np.stack([demo_audio[at : at + 16_000] for at in starts]) / np.float32(32_768)


def reference_log_mel(samples: np.ndarray) -> np.ndarray:
    """Return Whisper's features of one window, in float64 with numpy's FFT."""
    padded = np.pad(samples.astype(np.float64), 200, mode="reflect")
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[at : at + 400] for at in range(0, len(samples), 160)])
    power = np.abs(np.fft.rfft(frames * taper)) ** 2
    edges = np.array([hertz(mel) for mel in np.linspace(0, 45.245640471924965, 82)])
    bins = np.arange(201) * 40.0
    filters = [
        np.interp(bins, edges[band : band + 3], [0, 2 / (edges[band + 2] - edges[band]), 0])
        for band in range(80)
    ]
    level = np.log10(np.maximum(power @ np.array(filters).T, 1e-10))
    return (np.maximum(level, level.max() - 8) + 4) / 4


def hertz(mel: float) -> float:
    """Return the frequency of Slaney's mel: three make 200 Hz, from 1 kHz on 27 a factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1_000 * 6.4 ** ((mel - 15) / 27)


def test_the_front_end_is_that_of_whisper(seconds):
    """
    Log-mel of real speech as numpy's FFT gives it, and of digital silence the smallest value.
    """
    expected = np.stack([reference_log_mel(one) for one in seconds])
    found = WhisperLogMel()(seconds)
    silence = WhisperLogMel()(np.zeros((1, 16_000), np.float32))

    assert (6, 100, 80) == found.shape
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(silence, -1.5, atol=1e-5)


def test_the_embedding_is_the_published_one(encoder, weights, seconds):
    """
    The same as a plain numpy computation of the encoder from the published arrays.
    """
    found = encoder.predict_on_batch(seconds[:2])
    if weights.suffix != ".npz":
        pytest.skip("needs the archive")
    with np.load(weights) as archive:
        arrays = {name: archive[name].astype(np.float64) for name in archive.files}
    expected = np.stack([plain_encoder(reference_log_mel(one), arrays) for one in seconds[:2]])

    assert (2, 25, 384) == found.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def plain_encoder(x: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the embedding ``(25, 384)`` of log-mel ``(100, 80)``."""
    from scipy.special import erf, softmax

    def gelu(x):
        return x * (1 + erf(x / np.sqrt(2))) / 2

    def dense(x, name):
        return x @ arrays[f"{name}/weight"].T + arrays[f"{name}/bias"]

    def norm(x, name):
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + 1e-5)
        return x * arrays[f"{name}/gamma"] + arrays[f"{name}/beta"]

    for name, stride in (("conv1", 1), ("conv2", 2)):
        padded = np.pad(x, ((1, 1), (0, 0)))
        taps = np.stack([padded[at : at + len(x)] for at in range(3)], axis=2)[::stride]
        x = gelu(np.einsum("tik,oik->to", taps, arrays[f"{name}/weight"]) + arrays[f"{name}/bias"])
    x = x + arrays["position_encodings/encodings"][: len(x)]
    for index in range(4):
        part = f"layer_{index}/self_attention"
        joined = dense(norm(x, f"{part}/layer_norm"), f"{part}/linear_0")
        query, key, value = (one.reshape(-1, 6, 64) for one in np.split(joined, 3, axis=1))
        shares = softmax(np.einsum("qhd,khd->hqk", query, key) / 8, axis=2)
        taken = np.einsum("hqk,khd->qhd", shares, value).reshape(-1, 384)
        x = x + dense(taken, f"{part}/linear_1")
        part = f"layer_{index}/ffn"
        wide = gelu(dense(norm(x, f"{part}/layer_norm"), f"{part}/linear_0"))
        x = x + dense(wide, f"{part}/linear_1")
    return norm(x, "layer_norm").reshape(25, 2, 384).mean(axis=1)


def test_the_checkpoint_gives_the_same_network(encoder, seconds, monkeypatch, tmp_path):
    """
    The names of OpenAI's checkpoint: query, key and value apart, no bias of the key.
    """
    safetensors = pytest.importorskip("safetensors.numpy", reason="training needs it")
    arrays = {}
    for layer in (layer for layer in encoder.layers if layer.weights):
        place, _, part = layer.name.partition("-")
        stems = PARTS.get(part, (place,))
        before = f"layers.{place[6:]}." if part else ""
        for kind, weight in zip(("weight", "bias"), layer.get_weights()):
            if weight.ndim == 4:
                weight = weight[:, 0]
            for stem, array in zip(stems, np.split(weight.T, len(stems))):
                arrays[f"model.encoder.{before}{stem}.{kind}"] = np.ascontiguousarray(array)
    keys = [name for name in arrays if name.endswith("k_proj.bias")]
    assert [0.0] * 4 == [float(np.abs(arrays.pop(name)).max()) for name in keys]
    safetensors.save_file(arrays, tmp_path / "model.safetensors")
    monkeypatch.setenv("KWS_WHISPER", str(tmp_path / "model.safetensors"))
    _, again = published_network(NAME)

    again = keras.Model(again.input, again.get_layer("embedding").output)
    np.testing.assert_array_equal(
        encoder.predict_on_batch(seconds), again.predict_on_batch(seconds)
    )


def test_a_wrong_file_or_network_is_one_clear_error(weights, monkeypatch, tmp_path):
    """
    The error names the file, what was wrong in it, and the command that fetches it.
    """
    recipe = recipes.load("whisper-encoder")
    network = architectures.build(
        "whisper_encoder", input_shape=recipe.input_shape, n_labels=3, params={}
    )
    broken = tmp_path / "broken.npz"
    broken.write_bytes(weights.read_bytes()[:1_000])
    pytest.importorskip("safetensors", reason="training needs it")
    shutil.copy(broken, tmp_path / "broken.safetensors")
    for name in ("broken.npz", "broken.safetensors"):
        monkeypatch.setenv("KWS_WHISPER", str(tmp_path / name))
        with pytest.raises(ConfigError, match=rf"{name}: expected the weights of Whisper tiny\.en"):
            load_whisper(network)
    monkeypatch.setenv("KWS_WHISPER", str(tmp_path / "none.npz"))
    with pytest.raises(ConfigError, match=r"none\.npz: .* kws-train fetch whisper-tiny\.en"):
        load_whisper(network)
    other = architectures.build(
        "ds_tc_resnet", input_shape=(98, 40), n_labels=3, params={"stem_filters": 8}
    )
    with pytest.raises(ConfigError, match=r"expected model\.name = .whisper_encoder"):
        load_whisper(other)


def test_the_command_embeds_the_clips_of_a_cache(cache, encoder, tmp_path, capsys):
    """
    `kws-train soft-labels CACHE whisper-tiny.en`: 25 embeddings of 384 numbers in float16 for each
    clip, by TFLite as by Keras.
    """
    shutil.copytree(cache.path, tmp_path / "cache")
    copied = ClipCache.open(tmp_path / "cache")

    assert 0 == train.main(["soft-labels", str(copied.path), NAME, "--processes", "1"])

    assert f"soft labels of {NAME}: 3 of 3" in capsys.readouterr().err
    parts = parts_of(copied, KIND)
    assert {(16, 25, 384)} == {part.shape for part in parts}
    assert {np.dtype(np.float16)} == {part.dtype for part in parts}
    samples = parts_of(copied, SAMPLES)[0] / np.float32(32_768)
    np.testing.assert_allclose(parts[0], encoder.predict_on_batch(samples), atol=1e-2)
    assert (copied.path / f"{KIND}.json").is_file()


def test_it_is_a_backbone_for_transfer(encoder, seconds):
    """
    `transfer.backbone = "whisper-tiny.en"`: the mean of its embeddings, of samples.
    """
    backbone = open_keras_backbone(TransferConfig(backbone=NAME))
    found = Embedder(backbone).embed(np.int16(seconds * 32_768))

    assert ("MIT", 16_000) == (backbone.licence, backbone.window_samples)
    np.testing.assert_allclose(encoder.predict_on_batch(seconds).mean(axis=1), found, atol=1e-3)


def test_int8_is_refused(seconds):
    """
    Energies do not fit into 8 bits: the error names --float.
    """
    _, model = published_network(NAME)

    with pytest.raises(ConfigError, match="got log_mel, which needs float32; export with --float"):
        convert_int8(model, seconds)
