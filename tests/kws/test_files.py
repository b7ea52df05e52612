"""Untrusted files are read within bounds and quoted on one line; files are written whole."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kws import models
from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError, ManifestError, ModelError
from kws.files import atomic_path, one_line, read_bounded, read_json, write_atomically
from kws.manifest import MAX_MANIFEST_BYTES, ModelManifest, StreamForm, WindowForm, read_manifest
from kws.spotter import KeywordSpotter

SHA256 = "0" * 64


@pytest.fixture
def manifest_with(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write the shipped small model's manifest with a piece of its text replaced."""

    def write(old: str, new: str) -> Path:
        text = models.find("tiny").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "tiny.json"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 1', '"schema_version": "a\\nb"', r"got a\\nb; use the kws release"),
        ('"schema_version": 1', '"schema_version": true', "expected schema_version 1, got True"),
        ('"licence"', '"a\\u001b[2J"', r"unknown key a\\x1b\[2J"),
        ('"licence"', '"\\ud800"', r"unknown key \\ud800"),
        ('"licence"', '"path"', "unknown key path"),
        ('"yes"', '"y\\u0000s"', r"labels: expected text .* that can be printed, got 'y\\x00s'"),
        ('"yes"', '"\\ud800"', r"labels: expected text .* that can be printed, got '\\ud800'"),
        ('"yes"', '""', "labels must be distinct and hold a keyword"),
        ('"yes"', f'"{"y" * 201}"', "labels: expected text of at most 200 characters"),
        ('"Apache-2.0"', '"\\ud800"', r"expected text that can be printed, got '\\ud800'"),
        ('"tiny.tflite"', '"a\\u0000b"', r"without folders, got 'a\\x00b'"),
        ('"tiny.tflite"', '"\\ud800"', "without folders, got"),
        ('"tiny.tflite"', '".."', r"without folders, got '\.\.'"),
        ('"mel0_pad"', '"a\\nb"', r"states: expected text .* got 'a\\nb'"),
        ('"n_fft": 512', '"n_fft": 1073741824', "n_fft: expected 400 to 65536, got 1073741824"),
        ('"n_fft": 512', f'"n_fft": {"9" * 31}', "expected JSON, got: an integer of 31 digits"),
        ('_length_ms": 25', '_length_ms": 1e400', "frame_length_ms: .* up to 1000, got inf"),
        ('"mean": -5.5', '"mean": 1e300', r"mean: expected .* got 1e\+300"),
        ('"std": 4.8', '"std": 1e-300', "std: expected .* got 1e-300"),
        ('"std": 4.8', '"std": 1e30', r"std: expected .* got 1e\+30"),
        ('"log_floor": 1e-06', '"log_floor": 1e30', r"log_floor: expected above 0 .* got 1e\+30"),
        ('_hz": 20.0', '_hz": 7599.5', r"low_hz: expected 0 to 7599, got 7599\.5"),
        (
            'samples": 16000',
            'samples": 960001',
            r"window_samples: expected 1 to 960000, got 960001",
        ),
        ('"metrics": {', f'"metrics": {{"a": {"[" * 40}{"]" * 40},', "nested deeper than 32"),
        ('"metrics": {', f'"metrics": {{"a": {"[" * 10**5}{"]" * 10**5},', "nested deeper than 32"),
        ('"metrics": {', f'"{"m" * 4_000}": {{', "unknown key m{400,500}…"),
    ],
)
def test_what_no_manifest_says_is_one_line_of_error(manifest_with, old, new, message):
    """
    What would hang or flood the program, trouble the terminal, or make scores NaN, is refused.
    """
    path = manifest_with(old, new)

    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


def test_a_window_of_too_many_values_is_refused():
    """
    A minute of frames a sample apart would take half a gigabyte of features.
    """
    frontend = FrontendConfig(frame_length_ms=1, frame_step_ms=1 / 16)

    with pytest.raises(ConfigError, match="at most 4000000 values a window, got 900000 frames of"):
        ModelManifest(
            name="lamp",
            version="1",
            labels=("on",),
            frontend=frontend,
            window=WindowForm("lamp.tflite", SHA256, 960_000, 900_000),
            decision=DecisionConfig(),
        )


def test_text_of_several_lines_may_describe_a_model(default_manifest):
    """
    A description and a licence may have lines and tabs, a label any script, joiners included.
    """
    changed = dataclasses.replace(
        default_manifest,
        description="one\n\ttwo",
        labels=("می‌خواهم", "größer", *default_manifest.labels[2:]),
        decision=dataclasses.replace(default_manifest.decision, thresholds={}, context_weights={}),
    )

    assert changed.keywords[:2] == ("می‌خواهم", "größer")


def test_a_state_of_the_stream_form_has_a_printable_name():
    """
    States are named in messages, so their names are held to the same.
    """
    with pytest.raises(ConfigError, match=r"states: expected text .* got '\\n'"):
        StreamForm("lamp.tflite", SHA256, 10, {"\n": {"shape": [1]}})


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "not a regular file"),
        (sparse, f"expected at most {MAX_MANIFEST_BYTES} bytes, got {MAX_MANIFEST_BYTES + 1}"),
        (Path.mkdir, "not a regular file"),
    ],
)
def test_what_might_never_end_is_not_read(tmp_path, make, message):
    """
    A pipe, a file that is too long and a folder are refused before they are read.
    """
    path = tmp_path / "lamp.json"
    make(path)

    with pytest.raises(OSError, match=message):
        read_bounded(path, MAX_MANIFEST_BYTES)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_a_file_as_long_as_allowed_is_read(tmp_path):
    """
    The bound itself is allowed, a byte more is not.
    """
    path = tmp_path / "a"
    path.write_bytes(b"12345")

    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(OSError, match="expected at most 4 bytes, got 5"):
        read_bounded(path, 4)


@pytest.mark.parametrize("depth", [0, 1, 31])
def test_nesting_as_deep_as_allowed_is_read(tmp_path, depth):
    """
    Up to 32 levels of lists and tables come back equal.
    """
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value), encoding="utf-8")

    assert value == read_json(path, 10_000)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "x" * 300 + ".tflite"])
def test_a_name_that_no_file_can_have_is_no_model(name):
    """
    Names too long, with a zero or half a character in them, are not found: no other error.
    """
    with pytest.raises(ModelError, match="expected"):
        KeywordSpotter.from_model(name)


def test_quoted_text_is_one_line():
    """
    What a terminal would obey is escaped; letters of any script stay; very long text is cut.
    """
    assert one_line("a\nb\x1b[2J\u2028\ud800\x9b") == r"a\nb\x1b[2J\u2028\ud800\x9b"
    assert one_line("größer, می‌خواهم") == "größer, می‌خواهم"
    assert one_line("x" * 501) == "x" * 500 + "…"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """
    Text and bytes are written; a failure half way leaves the old content and no other file.
    """
    path = tmp_path / "a.txt"
    write_atomically(path, "café")
    with atomic_path(path) as part:
        part.write_bytes(b"half")
        assert path.read_bytes() == "café".encode()
    with pytest.raises(TypeError):
        write_atomically(path, 3)

    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match="there is no folder"):
        write_atomically(tmp_path / "none" / "a.txt", b"")
