"""C source of an exported model: which files, their content, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kws import models
from kws.errors import ManifestError, ModelError
from kws.manifest import ModelManifest, write_manifest
from training.cli import train

# The schema comes with ai-edge-litert, which has no wheels for Python 3.9.
pytest.importorskip("ai_edge_litert.schema_py_generated")

from training.export import c_source, micro_model
from training.tflite.graph import Graph, schema


def changed(
    manifest: ModelManifest, folder: Path, change: Callable[[Graph], None]
) -> ModelManifest:
    """Return the manifest of the non-streaming model after a change to its graph."""
    graph = Graph(manifest.read_form(manifest.window), where="x")
    change(graph)
    ends = {"input": graph.inputs[0]}, {"output": graph.outputs[0]}
    content = graph.rebuild(inputs=ends[0], outputs=ends[1])
    (folder / "changed.tflite").write_bytes(content)
    window = dataclasses.replace(
        manifest.window, file="changed.tflite", sha256=hashlib.sha256(content).hexdigest()
    )
    path = folder / "changed.json"
    made = dataclasses.replace(manifest, name="changed", window=window, stream=None, path=path)
    write_manifest(made, path)
    return made


def test_the_same_model_gives_the_same_files(default_manifest, c_folder, tmp_path):
    """
    The files contain neither time nor place, and nothing else is left behind.
    """
    paths = c_source.write_c_source(default_manifest, tmp_path / "new" / "folder")

    stems = ("default_model", "default_stream_model")
    names = [f"{stem}.{suffix}" for stem in stems for suffix in ("h", "cc")]
    assert names == [path.name for path in paths]
    assert sorted(names) == sorted(path.name for path in (tmp_path / "new/folder").iterdir())
    for path in paths:
        assert path.read_bytes() == (c_folder / path.name).read_bytes()


def test_the_non_streaming_model_has_the_hop_of_its_thresholds(
    c_folder, eight_frame_model, tmp_path
):
    """
    HOP_FRAMES of the non-streaming model are those of the streaming model beside it.
    """
    c_source.write_c_source(models.load(eight_frame_model), tmp_path)

    for folder, frames in ((c_folder, 10), (tmp_path, 8)):
        text = (folder / "default_model.h").read_text()
        assert re.search(rf"_HOP_FRAMES\W+{frames}\n", text)


def test_licence_and_sources_are_named(default_manifest, c_folder):
    """
    Both files name the licence and the attribution that the data require.
    """
    for path in (c_folder / "default_model.h", c_folder / "default_model.cc"):
        text = path.read_text()

        assert f"// SPDX-License-Identifier: {default_manifest.licence}\n" in text
        for source in default_manifest.attribution:
            assert f"//   {source}\n" in text


@pytest.mark.parametrize(
    ("op", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("STRIDED_SLICE", "AddStridedSlice"),
        ("ADD", "AddAdd"),
        ("ADD_N", "AddAddN"),
        ("PADV2", "AddPadV2"),
        ("CUMSUM", "AddCumSum"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
    ],
)
def test_operators_have_their_resolver_names(op, method):
    """
    The name of a resolver method is spelt as in TFLite Micro.
    """
    assert [method] == micro_model.resolver_methods([op, op], where="x")


def test_every_resolver_name_is_an_operator():
    """
    Each name belongs to an operator of the schema, so none is misspelt.
    """
    operators = {name.replace("_", "").lower() for name in vars(schema.BuiltinOperator)}

    assert set() == {name for name in micro_model.METHODS.split() if name.lower() not in operators}


def make_float(graph: Graph) -> None:
    graph.tensor(graph.inputs[0]).type = schema.TensorType.FLOAT32


def make_complex(graph: Graph) -> None:
    code = graph.model.operatorCodes[graph.operators[0].opcodeIndex]
    code.builtinCode = schema.BuiltinOperator.COMPLEX_ABS
    code.deprecatedBuiltinCode = 127


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (make_float, "changed.tflite: expected an int8 model, got a float32 tensor"),
        (make_complex, "changed.tflite: TFLite Micro has no operator COMPLEX_ABS"),
    ],
)
def test_a_model_that_cannot_run_is_refused(default_manifest, tmp_path, change, message):
    """
    The error names a float tensor or an unknown operator, and no file is written.
    """
    manifest = changed(default_manifest, tmp_path, change)

    with pytest.raises(ModelError, match=message):
        c_source.write_c_source(manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_tflite_micro_refuses_is_not_written(default_manifest, tmp_path):
    """
    The error has the reason that TFLite Micro gives.
    """
    pytest.importorskip("tflite_micro")

    def too_many_inputs(graph: Graph) -> None:
        operator = next(op for op in graph.operators if graph.op_name(op) == "MEAN")
        operator.inputs = np.array([*operator.inputs, operator.inputs[1]], dtype=np.int32)

    manifest = changed(default_manifest, tmp_path, too_many_inputs)

    with pytest.raises(ModelError, match=r"changed.tflite: TFLite Micro cannot run this model: .+"):
        c_source.write_c_source(manifest, tmp_path / "out")


def test_another_file_is_refused(default_manifest, tmp_path):
    """
    A .tflite file that does not match its manifest is not written as C source.
    """
    manifest = changed(default_manifest, tmp_path, lambda graph: None)
    with (tmp_path / "changed.tflite").open("ab") as file:
        file.write(b"x")

    with pytest.raises(ManifestError, match="expected sha256"):
        c_source.write_c_source(manifest, tmp_path / "out")


def test_the_command_writes_a_shipped_model(default_manifest, tmp_path, capsys):
    """
    ``kws-train export default --c-array`` needs no training run and prints what it wrote.
    """
    code = train.main(["export", "default", "--c-array", "--out", str(tmp_path)])

    assert code == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [str(tmp_path / "default_model.h"), str(tmp_path / "default_model.cc")]
    assert sorted(printed) == sorted(map(str, tmp_path.iterdir()))


def test_the_command_needs_no_tensorflow(tmp_path):
    """
    Writing C source of an exported model imports neither TensorFlow nor Keras.
    """
    code = (
        "import sys\nfrom training.cli import train\n"
        f"assert train.main(['export', 'default', '--c-array', '--out', {str(tmp_path)!r}]) == 0\n"
        "print(sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))\n"
    )
    root = Path(train.__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )

    assert "[]" == done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch", "--c-array"], "nosuch: expected the folder of a training run"),
        (["default", "--c-array", "--name", "x"], "--name and --model-version are for"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, capsys):
    """
    A source that is neither run nor model, and options that do not fit, are one-line errors.
    """
    assert 1 == train.main(["export", *arguments])

    printed = capsys.readouterr()
    assert "" == printed.out
    assert message in printed.err
    assert 1 == len(printed.err.splitlines())


def test_an_out_that_is_a_file_is_refused(tmp_path, capsys):
    """
    The error names the path.
    """
    (tmp_path / "file").write_text("")

    assert 1 == train.main(["export", "default", "--c-array", "--out", str(tmp_path / "file")])

    error = capsys.readouterr().err
    assert f"kws-train: error: {tmp_path / 'file'}: expected a folder to write to: " in error
