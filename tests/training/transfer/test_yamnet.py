"""YAMNet itself, if its file is available: truncated, with several windows, downloaded."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="cutting needs ai-edge-litert")
pytest.importorskip("pooch", reason="downloads need the extra [train]")

from support.published_weights import published_file

from kws.inference.interpreter import open_model
from training.cli import train
from training.config.sections import TransferConfig
from training.embedding.backbone import Embedder
from training.embedding.backbone_sources import (
    YAMNET_HOP,
    YAMNET_LAYER,
    YAMNET_WINDOW,
    open_backbone,
)
from training.tflite.graph import Graph


@pytest.fixture(scope="module")
def yamnet() -> Path:
    """Return YAMNet's file: KWS_YAMNET names it, or it lies in the data's folder."""
    return published_file("KWS_YAMNET", "yamnet.tflite", "models/yamnet.tflite", fetch="yamnet")


def scores_of(embedding: np.ndarray, content: bytes) -> np.ndarray:
    """Return YAMNet's own scores of an embedding, by numpy from the weights of its last layer."""
    graph = Graph(content, where="yamnet")
    last = [op for op in graph.operators if graph.op_name(op) == "FULLY_CONNECTED"][-1]
    kernel, bias = int(last.inputs[1]), graph.constant(int(last.inputs[2]))
    scale, zero_point = graph.scale_and_zero_point(kernel)
    weights = (graph.constant(kernel).astype(np.float32) - zero_point[0]) * np.float32(scale)[
        :, None
    ]
    return 1 / (1 + np.exp(-(embedding @ weights.T + bias)))


def test_the_embedding_gives_the_scores_of_yamnet(yamnet, demo_audio):
    """
    Its own last layer on the embedding gives its own scores, but for the rounding of the hybrid
    kernel, which quantizes the embedding to 8 bits.
    """
    content = yamnet.read_bytes()
    samples = demo_audio[16_000 : 16_000 + YAMNET_WINDOW]
    whole = open_model(content, where="yamnet")
    whole.memory(whole.inputs[0])[:] = samples / np.float32(32_768)
    whole.interpreter.invoke()
    expected = whole.memory(whole.outputs[0])[0]

    embedder = Embedder(open_backbone(TransferConfig(backbone="yamnet", file=str(yamnet))))
    found = embedder.embed([samples])

    assert (1, 1_024) == found.shape
    assert expected.argmax() == scores_of(found, content)[0].argmax()
    np.testing.assert_allclose(expected, scores_of(found, content)[0], atol=0.03)


def test_nine_windows_in_one_file_are_nine_windows(yamnet, demo_audio):
    """
    The mean over windows of 0.975 s every 0.48 s, inside the file as outside.
    """
    config = TransferConfig(backbone="yamnet", file=str(yamnet))
    one = Embedder(open_backbone(config))
    backbone = open_backbone(TransferConfig(backbone="yamnet", file=str(yamnet), windows=9))
    samples = demo_audio[: YAMNET_WINDOW + 8 * YAMNET_HOP]
    windows = [
        samples[start : start + YAMNET_WINDOW] for start in range(0, 8 * YAMNET_HOP + 1, YAMNET_HOP)
    ]

    found = Embedder(backbone).embed([samples])

    assert len(samples) == backbone.window_samples
    assert (YAMNET_LAYER,) == tuple(backbone.origin["layers"])
    np.testing.assert_allclose(one.embed(windows).mean(axis=0), found[0], atol=1e-3)
    assert len(backbone.content) < 1.2 * len(one.backbone.content)


def test_layers_of_yamnet_by_name(yamnet):
    """
    The name of a stage means its last tensor.
    """
    layers = ("layer5/pointwise_conv", "layer14")
    backbone = open_backbone(TransferConfig(backbone="yamnet", file=str(yamnet), layers=layers))

    assert 256 + 1_024 == Embedder(backbone).size


@pytest.fixture
def server(tmp_path):
    """Serve a folder over HTTP on loopback; return the folder and its address."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/net.tflite"
        httpd.shutdown()
        thread.join()


def test_yamnet_is_fetched_with_its_checksum(server, tmp_path, capsys):
    """
    The file lies where recipes look for it; one with another SHA-256 is refused and not kept.
    """
    folder, url = server
    content = b"\x1c\0\0\0TFL3" + bytes(2_000)
    (folder / "net.tflite").write_bytes(content)
    command = ["fetch", "yamnet", "--out", str(tmp_path / "data"), "--url", url]

    assert 1 == train.main(command)
    refused = capsys.readouterr().err
    there = (tmp_path / "data" / "yamnet.tflite").exists()
    assert 0 == train.main([*command, "--sha256", hashlib.sha256(content).hexdigest()])

    assert "SHA256" in refused
    assert not there
    assert content == (tmp_path / "data" / "yamnet.tflite").read_bytes()
