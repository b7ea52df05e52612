"""Models are found by name or by path."""

from __future__ import annotations

import shutil

import pytest

from kws import models
from kws.errors import KwsError, ManifestError, ModelError


def test_default_ships_and_comes_first():
    """
    `default` is always there, named first, and its files fit its manifest.
    """
    manifest = models.load("default")

    assert models.names()[0] == "default"
    assert manifest.name == "default"
    assert manifest.read_form(manifest.window)[4:8] == b"TFL3"


def test_default_knows_the_ten_words():
    """
    Twelve labels out of the box.
    """
    expected = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}

    assert set(models.load("default").labels) == expected | {"_unknown_", "_silence_"}


def test_default_is_small():
    """
    The model that ships stays within 250 KB.
    """
    manifest = models.load("default")

    assert len(manifest.read_form(manifest.window)) <= 250_000


@pytest.mark.parametrize("name", models.names())
def test_every_shipped_model_fits_its_manifest(name):
    """
    Each manifest is named after its file, and each of its files has the sum it states.
    """
    manifest = models.load(name)
    forms = [manifest.window] + ([manifest.stream] if manifest.stream else [])

    assert manifest.name == name
    assert all(manifest.read_form(form) for form in forms)


def test_a_path_names_a_manifest(tmp_path):
    """
    A manifest anywhere is found by its path, as text or as Path.
    """
    path = tmp_path / "mine.json"
    shutil.copy(models.find("default"), path)

    assert models.find(path) == path
    assert models.find(str(path)) == path
    assert models.load(path).path == path


@pytest.mark.parametrize("file", ["mine.tflite", "mine.stream.tflite"])
def test_a_model_file_stands_for_its_manifest(tmp_path, file):
    """
    Giving either .tflite of a model finds the manifest beside it.
    """
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / file).write_bytes(b"")

    assert models.find(tmp_path / file) == tmp_path / "mine.json"


def test_a_dot_in_a_name_is_part_of_it(tmp_path):
    """
    lamp-1.2.tflite belongs to lamp-1.2.json, not to lamp-1.json.
    """
    (tmp_path / "lamp-1.json").write_text("{}")
    (tmp_path / "lamp-1.2.json").write_text("{}")

    assert models.find(tmp_path / "lamp-1.2.tflite") == tmp_path / "lamp-1.2.json"
    assert models.find(tmp_path / "lamp-1.2.stream.tflite") == tmp_path / "lamp-1.2.json"


def test_a_shipped_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    """
    `default` means the shipped model wherever the command is started.
    """
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)

    assert models.find("default") == models.FIRMWARE_MODELS / "default.json"


@pytest.mark.parametrize("name", ["nope", "", "../default", "/none/such.json"])
def test_an_unknown_model_names_the_choices(name):
    """
    The error names the request and the shipped models.
    """
    with pytest.raises(ModelError, match=r"expected one of default.* path of a manifest"):
        models.find(name)


def test_a_model_file_alone_is_refused(tmp_path):
    """
    A .tflite without its manifest is an error.
    """
    path = tmp_path / "alone.tflite"
    path.write_bytes(b"")

    with pytest.raises(ModelError, match=r"expected its manifest alone\.json beside it"):
        models.find(path)


def test_a_folder_is_no_model(tmp_path):
    """
    A folder is an error of ours.
    """
    with pytest.raises(KwsError, match="expected one of default"):
        models.load(tmp_path)


def test_a_file_that_is_no_manifest_is_named(tmp_path):
    """
    A path to something else is named with what it is not.
    """
    path = tmp_path / "notes.txt"
    path.write_text("hello")

    with pytest.raises(ManifestError, match=r"notes\.txt: expected JSON"):
        models.load(path)
