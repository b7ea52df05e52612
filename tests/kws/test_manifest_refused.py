"""Invalid manifests, and model files that do not match them, are refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.example_manifest import CONTENT, SHA256, example

from kws.errors import ConfigError, ManifestError, ModelError
from kws.inference.window_model import WindowModel
from kws.manifest import (
    ModelManifest,
    StreamForm,
    WindowForm,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write the example with some of its JSON values changed; a path is dotted."""

    def write(changes: dict[str, Any] | None = None, remove: str = "") -> Path:
        path = tmp_path / "lamp.json"
        (tmp_path / "lamp.tflite").write_bytes(CONTENT)
        write_manifest(example(), path)
        table = json.loads(path.read_text(encoding="utf-8"))
        for key, value in (changes or {}).items():
            *parents, last = key.split(".")
            part = table
            for parent in parents:
                part = part[parent]
            part[last] = value
        if remove:
            *parents, last = remove.split(".")
            part = table
            for parent in parents:
                part = part[parent]
            del part[last]
        path.write_text(json.dumps(table), encoding="utf-8")
        return path

    return write


def test_the_model_file_is_read_only_if_it_is_the_one(written):
    """
    The bytes come when their SHA-256 is the manifest's.
    """
    manifest = read_manifest(written())

    assert manifest.read_form(manifest.window) == CONTENT


def test_a_changed_model_file_is_refused(written):
    """
    A wrong SHA-256 names file, both sums and the manifest.
    """
    path = written()
    (path.parent / "lamp.tflite").write_bytes(CONTENT + b"!")
    manifest = read_manifest(path)

    with pytest.raises(ManifestError, match=rf"lamp.tflite: expected sha256 {SHA256[:16]}.* got "):
        manifest.read_form(manifest.window)


def test_a_missing_model_file_is_named(written):
    """
    A missing .tflite is an error that names the file.
    """
    path = written()
    (path.parent / "lamp.tflite").unlink()
    manifest = read_manifest(path)

    with pytest.raises(ManifestError, match=r"lamp\.tflite: .* that lamp\.json names"):
        manifest.read_form(manifest.window)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "expected schema_version 1, got 2; use the kws release"),
        ({"schema_version": "1"}, "expected schema_version 1, got 1"),
        ({"colour": "red"}, "unknown key colour"),
        ({"frontend.colour": "red"}, r"unknown key frontend\.colour; expected some of kind"),
        ({"window.colour": "red"}, r"unknown key window\.colour"),
        ({"decision.colour": "red"}, r"unknown key decision\.colour"),
        ({"name": 3}, "name: expected str, got 3"),
        ({"frontend": 3}, "frontend: expected a table, got 3"),
        ({"frontend": None}, "frontend: expected a table, got None"),
        ({"frontend.n_mels": "40"}, "frontend.n_mels: expected int, got '40'"),
        ({"frontend.n_mels": 40.0}, r"frontend.n_mels: expected int, got 40\.0"),
        ({"frontend.n_mels": True}, "frontend.n_mels: expected int, got True"),
        ({"frontend.mean": None}, "frontend.mean: expected float, got None"),
        ({"frontend.mean": float("nan")}, "mean: expected .* got nan"),
        ({"frontend.std": 0}, "std: expected .* got 0"),
        ({"frontend.kind": "mfcc"}, "kind must be one of log_mel, .*, got 'mfcc'"),
        ({"window.file": "../lamp.tflite"}, r"without folders, got '\.\./lamp\.tflite'"),
        ({"window.file": "/etc/passwd"}, "without folders, got '/etc/passwd'"),
        ({"window.file": ""}, "without folders, got ''"),
        ({"window.sha256": "abc"}, "sha256 must be 64 lower-case hexadecimal digits, got 'abc'"),
        ({"window.sha256": "G" * 64}, "sha256 must be 64 lower-case hexadecimal digits"),
        ({"window.window_frames": 99}, "16000 samples give 98 frames, got 99"),
        ({"window.window_frames": 0}, "window_frames: expected at least 1, got 0"),
        ({"labels": ["on", "on"]}, "labels must be distinct and hold a keyword"),
        ({"labels": ["_unknown_"]}, "labels must be distinct and hold a keyword"),
        ({"labels": "on"}, "labels: expected a list of str, got 'on'"),
        ({"labels": ["on", 3]}, r"labels: expected a list of str, got \['on', 3\]"),
        ({"labels": None}, "labels: expected a list of str, got None"),
        ({"attribution": "me"}, "attribution: expected a list of str, got 'me'"),
        ({"decision.thresholds": {"up": 0.5}}, "thresholds: 'up' is none of on, off"),
        (
            {"decision.context_weights": {"up": 0.5}},
            "context_weights: 'up' is none of on, off",
        ),
        ({"decision.context_weights": {"on": 21}}, r"context weight of on: expected 0 to 20"),
        ({"decision.context_ms": 0}, r"context_ms: expected 1 to 60000, got 0"),
        (
            {"decision.context_weights": {"on": 3}, "labels": ["on", "off", "_unknown_", "rest"]},
            "expected the labels _unknown_ and _silence_, got on, off",
        ),
        (
            {"decision.thresholds": {"on": 2}},
            "threshold of on: expected above 0 and up to 1, got 2",
        ),
        (
            {"decision.thresholds": {"on": "x"}},
            "threshold of on: expected above 0 and up to 1, got x",
        ),
        ({"decision.thresholds": [0.5]}, r"decision.thresholds: expected .*, got \[0\.5\]"),
        ({"metrics": 3}, r"metrics: expected Mapping\[str, Any\], got 3"),
        ({"stream": 3}, "stream: expected a table, got 3"),
    ],
)
def test_nonsense_is_one_clear_error(written, changes, message):
    """
    An invalid value is a ManifestError that begins with the path and names key and value.
    """
    path = written(changes)

    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("schema_version", "expected schema_version 1, got None"),
        ("name", "missing name"),
        ("labels", "missing labels"),
        ("frontend", "missing frontend"),
        ("window", "missing window"),
        ("window.sha256", "missing window.sha256"),
        ("decision", "missing decision"),
    ],
)
def test_missing_keys_are_named(written, key, message):
    """
    What the runtime needs must be there.
    """
    with pytest.raises(ManifestError, match=message):
        read_manifest(written(remove=key))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "expected JSON, got"),
        (b"", "expected JSON, got"),
        (b"\xff\xfe", "expected JSON, got"),
        (b"[1]", "expected a JSON object, got list"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path, text, message):
    """
    Broken files are errors of ours, not tracebacks.
    """
    path = tmp_path / "lamp.json"
    path.write_bytes(text)

    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path):
    """
    No file, and a folder in its place, are named.
    """
    with pytest.raises(ManifestError, match=r"none\.json: expected a manifest"):
        read_manifest(tmp_path / "none.json")
    with pytest.raises(ManifestError, match="expected a manifest"):
        read_manifest(tmp_path)


def test_nonsense_built_in_code_is_a_config_error():
    """
    The same checks hold where training builds a manifest.
    """
    with pytest.raises(ConfigError, match="labels must be distinct"):
        example(labels=("on", "on"))


@pytest.fixture
def default_with(tmp_path: Path, default_manifest: ModelManifest) -> Callable[..., ModelManifest]:
    """Return the shipped manifest with changes, beside a copy of its model."""
    content = default_manifest.read_form(default_manifest.window)
    (tmp_path / default_manifest.window.file).write_bytes(content)

    def change(**changes: Any) -> ModelManifest:
        path = tmp_path / "changed.json"
        write_manifest(dataclasses.replace(default_manifest, **changes), path)
        return read_manifest(path)

    return change


def test_labels_must_fit_the_output(default_with, default_manifest):
    """
    Eleven labels for twelve outputs is an error that names both shapes.
    """
    manifest = default_with(
        labels=default_manifest.labels[:-1],
        decision=dataclasses.replace(default_manifest.decision, context_weights={}),
    )

    with pytest.raises(ModelError, match=r"expected the output \(1, 11\) of .*, got \(1, 12\)"):
        WindowModel(manifest, hop_frames=10)


def test_frames_must_fit_the_input(default_with, default_manifest):
    """
    A wrong number of mel bands is an error that names both shapes.
    """
    manifest = default_with(frontend=dataclasses.replace(default_manifest.frontend, n_mels=39))

    with pytest.raises(
        ModelError, match=r"expected the input \(1, 98, 39\) of .*, got \(1, 98, 40\)"
    ):
        WindowModel(manifest, hop_frames=10)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    """
    A right SHA-256 does not make a model.
    """
    content = b"this is a text file, not a model"
    (tmp_path / "lamp.tflite").write_bytes(content)
    form = WindowForm("lamp.tflite", hashlib.sha256(content).hexdigest(), 16_000, 98)
    manifest = example(window=form, path=tmp_path / "lamp.json")

    with pytest.raises(ModelError, match=r"lamp\.tflite: expected a TFLite model"):
        WindowModel(manifest, hop_frames=10)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"a": {}}, "states.a: expected a shape of integers, got {}"),
        ({"a": [1, 4]}, r"states.a: expected a shape of integers, got \[1, 4\]"),
        ({"a": {"shape": [1, 0]}}, "expected a shape"),
        ({"a": {"shape": [1, 2.5]}}, "expected a shape"),
        ({"a": {"shape": []}}, "expected a shape"),
    ],
)
def test_states_without_a_shape_are_refused(states, message):
    """
    Every state has a shape of whole numbers above 0.
    """
    with pytest.raises(ConfigError, match=message):
        StreamForm("lamp.stream.tflite", SHA256, 10, states)


def test_a_step_as_long_as_the_window_is_refused(default_manifest):
    """
    A stream form takes fewer frames than a window has.
    """
    stream = dataclasses.replace(default_manifest.stream, hop_frames=98)

    with pytest.raises(ConfigError, match=r"hop_frames: expected 1 to 97, got 98"):
        dataclasses.replace(default_manifest, stream=stream)
