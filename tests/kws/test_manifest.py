"""The contract between training and runtime: written, and read back as it was."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support.example_manifest import SHA256, example

from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError
from kws.manifest import (
    StreamForm,
    WindowForm,
    read_manifest,
    to_table,
    write_manifest,
)


@pytest.mark.parametrize(
    "stream", [None, StreamForm("lamp.stream.tflite", SHA256, 10, {"a": {"shape": [1, 4]}})]
)
def test_what_is_written_is_read(tmp_path, stream):
    """
    Every field comes back equal, to the last bit of a float; the path is where it was read.
    """
    path = tmp_path / "lamp.json"
    manifest = example(stream=stream, path=path)
    write_manifest(manifest, path)

    assert read_manifest(path) == manifest
    assert [file.name for file in tmp_path.iterdir()] == ["lamp.json"]


@pytest.mark.parametrize(
    ("decision", "written"),
    [
        (DecisionConfig(), set()),
        (DecisionConfig(context_weights={"on": 0.0}), {"context_weights"}),
        (DecisionConfig(context_ms=3_000), {"context_ms"}),
        (
            DecisionConfig(context_weights={"on": 2.5}),
            {"context_weights", "context_ms", "context_delay_ms"},
        ),
    ],
)
def test_context_settings_are_written_only_if_used(tmp_path, decision, written):
    """
    An older kws reads what does not use it; what was set comes back all the same.
    """
    path = tmp_path / "lamp.json"
    manifest = example(decision=decision, path=path)
    write_manifest(manifest, path)
    table = json.loads(path.read_text(encoding="utf-8"))["decision"]

    assert manifest == read_manifest(path)
    assert written == {key for key in table if key.startswith("context_")}


@pytest.mark.parametrize(
    ("frontend", "frames", "settings"),
    [
        (
            FrontendConfig(kind="waveform", sample_rate=8_000, std=0.125),
            8_000,
            {"kind": "waveform", "sample_rate": 8_000, "mean": 0.0, "std": 0.125},
        ),
        (
            FrontendConfig(
                kind="spectrogram",
                sample_rate=8_000,
                frame_length_ms=31.25,
                frame_step_ms=7.75,
                n_fft=258,
            ),
            126,
            {
                "kind": "spectrogram",
                "sample_rate": 8_000,
                "frame_length_ms": 31.25,
                "frame_step_ms": 7.75,
                "n_fft": 258,
                "log_floor": 1e-5,
                "mean": 0.0,
                "std": 1.0,
            },
        ),
    ],
    ids=["waveform", "spectrogram"],
)
def test_a_front_end_tells_only_what_it_uses(tmp_path, frontend, frames, settings):
    """
    No mel bands in the manifest of a model that has none; it comes back equal all the same.
    """
    path = tmp_path / "lamp.json"
    window = WindowForm("lamp.tflite", SHA256, 8_000, frames)
    manifest = example(frontend=frontend, window=window, path=path)
    write_manifest(manifest, path)

    assert settings == json.loads(path.read_text(encoding="utf-8"))["frontend"]
    assert read_manifest(path) == manifest
    with pytest.raises(ConfigError, match=f"8000 samples give {frames} frames, got {frames + 1}"):
        dataclasses.replace(manifest, window=WindowForm("lamp.tflite", SHA256, 8_000, frames + 1))


def test_a_log_mel_manifest_is_what_it_was(default_manifest):
    """
    The models that ship need no other manifest: what is written equals what was read.
    """
    shipped = json.loads(default_manifest.path.read_text(encoding="utf-8"))["frontend"]

    assert list(shipped.items()) == list(to_table(default_manifest)["frontend"].items())
    assert '"frame_step_ms": 10,' in json.dumps(to_table(default_manifest)["frontend"])


def test_path_is_not_written(tmp_path):
    """
    A manifest does not contain the path it was written to.
    """
    write_manifest(example(path=Path("/home/someone/lamp.json")), tmp_path / "lamp.json")

    assert "someone" not in (tmp_path / "lamp.json").read_text(encoding="utf-8")


def test_keywords_are_the_labels_that_may_fire():
    """
    Labels that begin with an underscore are no keywords.
    """
    assert example().keywords == ("on", "off")


def test_a_manifest_is_replaced_whole_or_not_at_all(tmp_path):
    """
    When writing fails half-way, the old manifest stays and nothing is left beside it.
    """
    path = tmp_path / "lamp.json"
    write_manifest(example(), path)
    before = path.read_bytes()

    with pytest.raises(TypeError):
        write_manifest(example(metrics={"not": np.zeros(1)}), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["lamp.json"]
