"""The page of `kws-eval report` with two models on real clips and streams."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="the page needs the extra [eval]")

from support.report_material import ODD_NAME, Page, run

from kws.cli.bench import main as bench_main
from training.cli.evaluate import main

# The fixture starts fresh processes (kws-bench), which are slow on a busy machine.
pytestmark = pytest.mark.timeout(300)
SECTIONS = (
    "headline",
    "labels",
    "confusion",
    "reliability",
    "noise",
    "streams",
    "latency",
    "published",
    "provenance",
)


@pytest.fixture(scope="module")
def bench(material):
    """Return a short measurement of the model that ships."""
    folder = material / "bench"
    assert 0 == bench_main(["--seconds", "4", "--repeats", "1", "--out", str(folder)])
    return folder / "bench.json"


@pytest.fixture(scope="module")
def written(material, bench):
    """Return the folder of a page of two models with everything measured."""
    out = material / "out"
    code = main(
        [
            *("report", "default", str(material / "odd" / "default.json")),
            *("--data", str(material / "clips"), "--noise", str(material / "noise")),
            *("--streams", f"misses={material / 'spoken'}", f"accepts={material / 'quiet'}"),
            *("--bench", str(bench), "--out", str(out)),
        ]
    )
    assert 0 == code
    return out


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "report.json").read_text())


def test_page_has_every_section_and_parses(written, report):
    """
    One well-formed page, its sections in the stated order, a description of each picture.
    """
    page = Page((written / "report.html").read_text())

    names = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert list(SECTIONS) == names
    # A confusion and a reliability each, noise, streams, accuracy against size, and against
    # multiplications where the schema to count them is installed.
    counted = report["models"][0]["macs"]["window"] is not None
    assert 2 * 2 + 3 + counted == len(pictures)
    assert all(len(picture["alt"]) > 20 for picture in pictures)
    assert all(picture["src"].startswith("data:image/svg+xml;base64,") for picture in pictures)
    assert "Not measured" not in "".join(page.words)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)


def test_page_refers_to_nothing_outside(written):
    """
    The page has no address, file, script or style sheet outside itself.
    """
    page = Page((written / "report.html").read_text())
    text = re.sub(r'"data:[^"]*"', '"data:"', (written / "report.html").read_text())

    assert "http" not in text
    assert set() == {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object"}
    assert "@import" not in text
    assert "@font-face" not in text
    identifiers = {attributes.get("id") for _, attributes in page.elements}
    for _, attributes in page.elements:
        for name in ("href", "xlink:href", "src"):
            assert attributes.get(name, "#")[0] == "#" or attributes[name].startswith("data:")
            if attributes.get(name, "").startswith("#"):
                assert attributes[name][1:] in identifiers
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_names_are_escaped(written):
    """
    The name of a model is text in the page and in the Markdown.
    """
    text = (written / "report.html").read_text()

    assert "o<b>dd" not in text
    assert ODD_NAME in "".join(Page(text).words)
    assert r"o\<b\>dd & 'co\|py'" in (written / "report.md").read_text()


def test_figures_are_those_of_the_single_commands(capsys, material, report):
    """
    Clips equal `kws-eval clips --json`; misses and false accepts `kws-eval stream --json`.
    """
    _, clips = run(capsys, "clips", "--model", "default", "--data", material / "clips")
    spoken, quiet = (
        run(
            *(capsys, "stream", "--model", "default", "--audio", material / name),
            *("--truth", material / name / "truth.csv"),
        )[1]
        for name in ("spoken", "quiet")
    )

    figures = report["models"][0]
    assert clips == figures["clips"]
    assert clips["accuracy"] == figures["noise"][0]["accuracy"]
    assert spoken["hits"] == figures["streams"]["hits"] > 5
    assert spoken["latency_s"] == figures["streams"]["latency_s"]
    assert quiet["hours"] == figures["streams"]["hours"]
    assert quiet["false_accepts"] == figures["streams"]["false_accepts"]
    expected = [
        (a["threshold"], a["false_reject_rate"], b["false_accepts_per_hour"])
        for a, b in zip(spoken["curve"], quiet["curve"])
    ]
    found = [tuple(point.values()) for point in figures["streams"]["curve"]]
    assert expected == [pytest.approx(point) for point in found]


def test_both_copies_of_a_model_have_the_same_figures(report):
    """
    Noise depends on seed and position: a copy of a model has the same figures.
    """
    one, other = report["models"]

    assert [None, 20.0, 10.0, 5.0, 0.0] == [row["snr_db"] for row in one["noise"]]
    assert one["noise"] == other["noise"]
    assert one["reliability"] == other["reliability"]
    # Each level is scored for itself.
    assert 5 == len({row["expected_calibration_error"] for row in one["noise"]})


def test_too_little_audio_gives_no_rate(report):
    """
    Five seconds without a false accept do not show a rate below one per hour.
    """
    rows = report["models"][0]["streams"]["at_most_per_hour"]

    assert {None} == {row["false_reject_rate"] for row in rows}


def test_bench_finds_its_model_by_checksum(bench, report):
    """
    A measurement belongs to every model with that file.
    """
    measured = json.loads(bench.read_text())

    for figures in report["models"]:
        assert [measured["hop_us"]["p50"]] == [row["hop_us"]["p50"] for row in figures["bench"]]


def test_provenance_names_what_made_it(written, report):
    """
    The page has command, data, seed, machine, versions and both checksums.
    """
    words = " ".join(Page((written / "report.html").read_text()).words)

    for figures in report["models"]:
        for checksum in figures["sha256"].values():
            assert checksum in words
    assert report["date"] in words
    assert report["machine"]["system"] in words
    assert f"numpy {np.__version__}" in words
    assert "1 recordings of noise" in words


def test_markdown_holds_the_tables(written):
    """
    The Markdown has the first table with one column per model.
    """
    lines = (written / "report.md").read_text().splitlines()

    row = next(line for line in lines if line.startswith("| accuracy on clips"))
    assert 4 == len(re.findall(r"(?<!\\)\|", row))


def test_bench_of_another_file_is_refused(capsys, bench, tmp_path):
    """
    A measurement of another file than the model's is an error.
    """
    measured = json.loads(bench.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**measured, "sha256": "0" * 16}))

    assert 1 == main(["report", "default", "--bench", str(other)])
    assert "expected a measurement of one of the models" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"ratios": {}},
        {"ratios": {}, "a": {}},
        {"ratios": {}, "a": [1], "b": [2]},
        {"machine": "a Pi"},
    ],
)
def test_half_a_comparison_is_no_measurement(capsys, bench, tmp_path, change):
    """
    A comparison has two sides, and the machine is a table.
    """
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(bench.read_text()), **change}))

    assert 1 == main(["report", "default", "--bench", str(other)])
    assert "expected the output of kws-bench --json, got other JSON" in capsys.readouterr().err
