"""Clips, noise and long audio cut from the demo recording, and a parser of the report page."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("jinja2", reason="the page needs the extra [eval]")

from kws import models
from kws.audio.files import read_file
from training.cli.evaluate import main

DEMO = models.FIRMWARE_MODELS / "demo.wav"
TRUTH = models.FIRMWARE_MODELS / "demo.csv"
# A name that would be markup if it were not escaped.
ODD_NAME = "o<b>dd & 'co|py'"
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


def make_material(root: Path) -> None:
    """Write clips, noise, two streams and a second model."""
    samples = np.concatenate(list(read_file(DEMO)))
    with open(TRUTH, newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        middle = (float(row["start_s"]) + float(row["end_s"])) / 2
        start = max(0, int((middle - 0.5) * 16_000))
        folder = root / "clips" / row["keyword"]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{start}.wav", samples[start : start + 16_000], 16_000)
    (root / "clips" / "_silence_").mkdir()
    soundfile.write(root / "clips" / "_silence_" / "0.wav", samples[:12_000], 16_000)
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


def run(capsys, *arguments):
    """Run `kws-eval ... --json`; return its exit code and its report."""
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)
