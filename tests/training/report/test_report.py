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
    *("headline", "labels", "confusion", "reliability", "noise"),
    *("conditions", "streams", "latency", "published", "provenance"),
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


@pytest.fixture(scope="module")
def page(written):
    return Page((written / "report.html").read_text())


def test_page_has_every_section_and_parses(page, report):
    """
    One well-formed page, its sections in the stated order, a description of each picture.
    """
    names = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert list(SECTIONS) == names
    # A confusion and a reliability each, noise, streams, accuracy against size, and against
    # multiplications where the schema to count them is installed.
    counted = report["models"][0]["macs"]["window"] is not None
    assert 2 * 2 + 3 + counted == len(pictures)
    assert all(len(picture["alt"]) > 20 for picture in pictures)
    # Only the conditions of a home, which these models have not been measured in.
    assert "".join(page.words).count("Not measured") == 1


def test_page_refers_to_nothing_outside(written, page):
    """
    The page has no address, file, script or style sheet outside itself.
    """
    text = re.sub(r'"data:[^"]*"', '"data:"', (written / "report.html").read_text())
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert re.search(r"http|@import|@font-face|url\(", text) is None
    assert set() == {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object"}
    assert len(set(identifiers)) == len(identifiers)
    for tag, attributes in page.elements:
        if tag == "img":
            assert attributes["src"].startswith("data:image/svg+xml;base64,")
        elif "href" in attributes:
            assert attributes["href"].lstrip("#") in identifiers


def test_the_name_of_a_model_is_text(written, page):
    """
    Names are escaped in the page and in the Markdown, whose first table has a column per model.
    """
    markdown = (written / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| accuracy on clips"))

    assert ODD_NAME in "".join(page.words)
    assert r"o\<b\>dd & 'co\|py'" in markdown
    assert 4 == len(re.findall(r"(?<!\\)\|", row))


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


def test_both_copies_of_a_model_have_the_same_figures(bench, report):
    """
    Noise depends on seed and position, and a benchmark belongs to every model with that file.
    """
    one, other = report["models"]
    measured = json.loads(bench.read_text())

    assert [None, 20.0, 10.0, 5.0, 0.0] == [row["snr_db"] for row in one["noise"]]
    # Each level has its own figures.
    assert 5 == len({row["expected_calibration_error"] for row in one["noise"]})
    for name in ("noise", "reliability", "streams", "bench"):
        assert one[name] == other[name]
    assert [measured["hop_us"]["p50"]] == [row["hop_us"]["p50"] for row in one["bench"]]
    # Five seconds without a false accept do not show a rate below ten per hour.
    assert {None} == {row["false_reject_rate"] for row in one["streams"]["at_most_per_hour"]}


def test_provenance_names_what_made_it(page, report):
    """
    The page has date, noise, machine, versions and all checksums.
    """
    words = " ".join(page.words)
    expected = [report["date"], report["machine"]["system"], f"numpy {np.__version__}"]
    expected += [checksum for one in report["models"] for checksum in one["sha256"].values()]

    assert [] == [text for text in [*expected, "1 recordings of noise"] if text not in words]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 16}, "expected a measurement of one of the models"),
        ({"ratios": {}}, "got other JSON"),
        ({"ratios": {}, "a": [1], "b": [2]}, "got other JSON"),
        ({"machine": "a Pi"}, "got other JSON"),
    ],
)
def test_wrong_benchmarks_are_refused(capsys, bench, tmp_path, change, message):
    """
    Measurements of another file and incomplete ones are one-line errors.
    """
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(bench.read_text()), **change}))

    assert 1 == main(["report", "default", "--bench", str(other)])
    error = capsys.readouterr().err
    assert 1 == error.count("\n")
    assert message in error
