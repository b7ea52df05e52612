"""The outputs and errors of `kws-eval report`, and the published points."""

import json
import shutil
from datetime import date, datetime, timezone

import pytest

pytest.importorskip("jinja2", reason="the page needs the extra [eval]")

from support.report_material import Page, run

from kws import models
from training.cli.evaluate import main
from training.report import bench, published

# A fresh process and every level of noise take their time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def test_write_stores_the_figures_over_noise(capsys, material, tmp_path):
    """
    With --write the manifest gets accuracy and keyword recall at each level, and the command.
    """
    copy = tmp_path / "copy"
    shutil.copytree(material / "odd", copy)

    _, report = run(
        capsys,
        *("report", copy / "default.json", "--data", material / "clips"),
        *("--noise", material / "noise", "--write"),
    )

    noise = models.load(copy / "default.json").metrics["noise"]
    assert ["1 recordings of noise"] == noise["sources"]
    measured = report["models"][0]["noise"]
    assert [row["accuracy"] for row in measured] == [row["accuracy"] for row in noise["levels"]]
    assert 5 == len(noise["levels"])
    assert report["command"] == noise["command"]


def test_broken_model_among_several_is_one_line(capsys, material, tmp_path):
    """
    A file that does not match its manifest is an error before anything is measured.
    """
    broken = tmp_path / "broken"
    shutil.copytree(material / "odd", broken)
    content = bytearray((broken / "default.tflite").read_bytes())
    content[1000] ^= 1
    (broken / "default.tflite").write_bytes(content)

    code = main(
        [
            *("report", "default", str(broken / "default.json")),
            *("--data", str(material / "clips"), "--out", str(tmp_path / "out")),
        ]
    )

    error = capsys.readouterr().err
    assert 1 == code
    assert 1 == error.count("\n")
    assert f"{broken / 'default.tflite'}: expected sha256" in error
    assert [] == list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--streams", "nowhere"], "expected DIR, misses=DIR or accepts=DIR"),
        (["--streams", "misses={spoken}"], "to count accepts on"),
        (["--streams", "{noise}"], "expected {noise}/truth.csv"),
        (["--split", "validation"], "--split: expected --data"),
        (["--noise", "{noise}", "--run-bench"], "--noise: expected --data"),
        (["--bench", "{spoken}/truth.csv"], "expected the output of kws-bench --json"),
        (["--data", "{clips}", "--noise", "{odd}"], "expected recordings of noise"),
    ],
)
def test_wrong_options_are_one_line(capsys, material, arguments, line):
    """
    Invalid options are errors before anything is measured.
    """
    folders = {path.name: path for path in material.iterdir()}

    code = main(["report", "default", *(text.format(**folders) for text in arguments)])

    error = capsys.readouterr().err
    assert (1, 1) == (code, error.count("\n"))
    assert line.format(**folders) in error


def test_latency_is_measured_for_the_page(tmp_path, monkeypatch):
    """
    With --run-bench the page has a row of latency with date and source.
    """
    monkeypatch.setattr(bench, "SECONDS", 4.0)
    monkeypatch.setattr(bench, "N_ROUNDS", 1)

    assert 0 == main(["report", "tiny", "--run-bench", "--out", str(tmp_path / "page")])

    (row,) = json.loads((tmp_path / "page" / "report.json").read_text())["models"][0]["bench"]
    assert row["hop_us"]["p50"] > 0
    today = row["date"][:10]
    assert date.fromisoformat(today) <= datetime.now(timezone.utc).date()
    assert f"{today}, measured for this report" in (tmp_path / "page" / "report.md").read_text()


def test_page_without_measurements_names_the_options(capsys, tmp_path):
    """
    With --out DIR alone the page has the facts of the files and names the options for the rest.
    """
    assert 0 == main(["report", "default", "--out", str(tmp_path / "page")])

    words = " ".join(Page((tmp_path / "page" / "report.html").read_text()).words)
    # The conditions may be stored in the manifest.
    known = "conditions" in models.load("default").metrics
    assert 7 - known == words.count("Not measured")
    assert "--streams adds it" in words
    assert "report.html" in capsys.readouterr().out


def test_markdown_file_is_the_table_of_manifests(tmp_path):
    """
    `--out FILE.md` writes the table that otherwise goes to stdout.
    """
    path = tmp_path / "table.md"

    assert 0 == main(["report", "default", "--out", str(path)])
    assert f"| default {models.load('default').version} |" in path.read_text()


def test_every_point_has_its_source():
    """
    Each point has its test set, form and source; names are distinct within a form.
    """
    points = published.points()

    assert len(points) > 40
    assert all(len(point["source"]) > 10 for point in points)
    assert {"V1-12", "V2-12", "12 words"} == {point["set"] for point in points}
    names = [(point["name"], point["form"]) for point in points]
    assert len(set(names)) == len(names)


def test_figures_are_those_of_the_papers():
    """
    BC-ResNet-8 with 98.7 % and 89.1 M multiplications, MicroNet-S with 95.3 % in 115 kB.
    """
    found = {(point["name"], point["form"]): point for point in published.points()}

    best, small = found["BC-ResNet-8", "float"], found["MicroNet-S", "int8"]
    assert (0.987, 89_100_000, 321_000) == (best["accuracy"], best["macs"], best["parameters"])
    assert (0.953, 115_000, None) == (small["accuracy"], small["bytes"], small["macs"])
