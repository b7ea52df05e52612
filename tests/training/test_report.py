"""The page of `kws-eval report`: real clips, real streams, two models side by side."""

import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

pytest.importorskip("jinja2", reason="the page needs the extra [eval]")

from kws import models
from kws.audio_file import read_file
from kws.cli.bench import main as bench_main
from training.cli.evaluate import main

# The page's fixture starts fresh processes (kws-bench), which take their time on a busy machine.
pytestmark = pytest.mark.timeout(300)

DEMO = models.FIRMWARE_MODELS / "demo.wav"
TRUTH = models.FIRMWARE_MODELS / "demo.csv"
# A name that would be markup if it were not escaped.
ODD_NAME = "o<b>dd & 'co|py'"
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
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page, checked for being closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert tag == self._open.pop(), f"</{tag}> closes another element"

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Return a folder with clips, noise, two streams, a bench and a second model."""
    root = tmp_path_factory.mktemp("material")
    samples = np.concatenate(list(read_file(DEMO)))
    with open(TRUTH, newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        middle = (float(row["start_s"]) + float(row["end_s"])) / 2
        start = max(0, int((middle - 0.5) * 16_000))
        folder = root / "clips" / row["keyword"]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{start}.wav", samples[start : start + 16_000], 16_000)
    (root / "noise").mkdir()
    hiss = np.random.default_rng(3).standard_normal(5 * 16_000) * 800
    soundfile.write(root / "noise" / "hiss.wav", hiss.astype(np.int16), 16_000)
    for name, truth in (("spoken", TRUTH.read_text()), ("quiet", "file,keyword,start_s,end_s\n")):
        (root / name).mkdir()
        (root / name / "truth.csv").write_text(truth)
    shutil.copy(DEMO, root / "spoken" / "demo.wav")
    soundfile.write(root / "quiet" / "hiss.wav", hiss.astype(np.int16), 16_000)
    (root / "odd").mkdir()
    for path in models.FIRMWARE_MODELS.glob("default*.tflite"):
        shutil.copy(path, root / "odd")
    manifest = json.loads((models.FIRMWARE_MODELS / "default.json").read_text())
    (root / "odd" / "default.json").write_text(json.dumps({**manifest, "name": ODD_NAME}))
    return root


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


def run(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_page_has_every_section_and_parses(written, report):
    """
    One well-formed page, its sections in the stated order, a name for each picture.
    """
    page = Page((written / "report.html").read_text())

    names = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    pictures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert list(SECTIONS) == names
    # A confusion and a reliability each, noise, streams, accuracy against size, and against
    # multiplications where the schema to count them is installed.
    counted = report["models"][0]["macs"]["window"] is not None
    assert 2 * 2 + 3 + counted == len(pictures)
    assert all(len(picture["aria-label"]) > 20 for picture in pictures)
    assert "Not measured" not in "".join(page.words)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)


def test_page_refers_to_nothing_outside(written):
    """
    No address, no file, no script, no style sheet: what is referred to lies in the page.
    """
    text = (written / "report.html").read_text()
    page = Page(text)

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
    A model's name is text, in the page, in its pictures and in the Markdown.
    """
    text = (written / "report.html").read_text()

    assert "o<b>dd" not in text
    assert ODD_NAME in "".join(Page(text).words)
    assert r"o\<b\>dd & 'co\|py'" in (written / "report.md").read_text()


def test_pictures_follow_light_and_dark(written):
    """
    Pictures take every colour from the page: none is written into them.
    """
    pictures = re.findall(r"<svg.*?</svg>", (written / "report.html").read_text(), re.DOTALL)

    assert {"none"} >= set(re.findall(r"(?:fill|stroke): (#\w+|none)", "".join(pictures)))


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
    Noise is drawn by seed and place: the same model under another name scores the same.
    """
    one, other = report["models"]

    assert [None, 20.0, 10.0, 5.0, 0.0] == [row["snr_db"] for row in one["noise"]]
    assert one["noise"] == other["noise"]
    assert one["reliability"] == other["reliability"]
    # Each level is scored for itself.
    assert 5 == len({row["expected_calibration_error"] for row in one["noise"]})


def test_too_little_audio_tells_no_rate(report):
    """
    Five seconds without a false accept do not show that there is less than one an hour.
    """
    rows = report["models"][0]["streams"]["at_most_per_hour"]

    assert {None} == {row["false_reject_rate"] for row in rows}


def test_bench_finds_its_model_by_checksum(bench, report):
    """
    A measurement belongs to every model of its file, and shows in the first table.
    """
    measured = json.loads(bench.read_text())

    for figures in report["models"]:
        assert [measured["hop_us"]["p50"]] == [row["hop_us"]["p50"] for row in figures["bench"]]


def test_provenance_names_what_made_it(written, report):
    """
    Command, data, seed, machine, versions and both checksums stand in the page.
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
    The Markdown beside the page has the first table, a column a model.
    """
    lines = (written / "report.md").read_text().splitlines()

    row = next(line for line in lines if line.startswith("| accuracy on clips"))
    assert 4 == len(re.findall(r"(?<!\\)\|", row))


def test_write_keeps_what_was_measured_over_noise(capsys, material, tmp_path):
    """
    With --write the manifest has accuracy and keyword recall at each level, and the command.
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
    A file that is not its manifest's ends the report before anything is measured.
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
        (["--bench", "{spoken}/truth.csv"], "expected what kws-bench --json wrote"),
        (["--data", "{clips}", "--noise", "{odd}"], "expected recordings of noise"),
    ],
)
def test_wrong_options_are_one_line(capsys, material, arguments, line):
    """
    What cannot be measured is said before anything is.
    """
    folders = {path.name: path for path in material.iterdir()}

    code = main(["report", "default", *(text.format(**folders) for text in arguments)])

    error = capsys.readouterr().err
    assert (1, 1) == (code, error.count("\n"))
    assert line.format(**folders) in error


def test_bench_of_another_file_is_refused(capsys, bench, tmp_path):
    """
    Figures of a model that has changed since do not count for it.
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
    A file that names ratios holds both sides, and a machine is a table.
    """
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(bench.read_text()), **change}))

    assert 1 == main(["report", "default", "--bench", str(other)])
    assert "expected what kws-bench --json wrote, got other JSON" in capsys.readouterr().err


def test_page_without_measurements_says_how_to_get_them(capsys, tmp_path):
    """
    With --out DIR alone the page has what the files tell, and names the options for the rest.
    """
    assert 0 == main(["report", "default", "--out", str(tmp_path / "page")])

    words = " ".join(Page((tmp_path / "page" / "report.html").read_text()).words)
    assert 6 == words.count("Not measured")
    assert "--streams adds it" in words
    assert "report.html" in capsys.readouterr().out


def test_markdown_file_is_the_table_of_manifests(tmp_path):
    """
    `--out FILE.md` writes what stdout would have got.
    """
    path = tmp_path / "table.md"

    assert 0 == main(["report", "default", "--out", str(path)])
    assert "| default 3 |" in path.read_text()


def test_report_needs_no_tensorflow():
    """
    Everything behind the page imports without TensorFlow or Keras.
    """
    code = (
        "import sys, training.cli.reporting\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True
    )

    assert "[]" == done.stdout.strip()
