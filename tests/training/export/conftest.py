"""The default model as C source, written once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def c_folder(default_manifest, tmp_path_factory) -> Path:
    """A folder with the default model as C source; programs are compiled in it."""
    pytest.importorskip("ai_edge_litert.schema_py_generated", reason="reads a .tflite file")
    from training.export.c_source import write_c_source

    out = tmp_path_factory.mktemp("c")
    write_c_source(default_manifest, out)
    return out
