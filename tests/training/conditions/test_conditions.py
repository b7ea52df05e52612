"""Test audio in the conditions of a home: its halves, its truth, and the figures of a model."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile

from kws.spotter import KeywordSpotter
from training.cli.evaluate import main
from training.conditions.layout import NAMES, half_of, kind_of, read_conditions
from training.conditions.sources import noise_halves, noise_kinds
from training.datasets.aligned_speech import near_words
from training.datasets.folders import speaker_of
from training.evaluation.truth import IGNORE, OTHER, read_truth

RATE = 16_000


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two keywords, two other words of four speakers, two readers, three kinds of noise, rooms."""
    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(3)
    times = np.arange(RATE) / RATE
    for index, word in enumerate(("yes", "no", "cat", "one")):
        (root / "clips" / word).mkdir(parents=True)
        names = [f"{speaker}000000_nohash_0.wav" for speaker in "abcd"]
        for name in names:
            tone = np.sin(2 * np.pi * (300 + 200 * index) * times)
            samples = 9_000 * tone * np.exp(-(((times - 0.5) / 0.15) ** 2))
            soundfile.write(root / "clips" / word / name, samples.astype(np.int16), RATE)
    listed = [
        f"{folder.name}/{path.name}\n"
        for folder in (root / "clips").iterdir()
        for path in folder.iterdir()
    ]
    (root / "clips" / "validation_list.txt").write_text("".join(listed))
    rows = [("utterance", "word", "start_sample", "n_samples")]
    (root / "speech").mkdir()
    for name in ("11-1-0000", "11-1-0001", "22-1-0000", "22-1-0001"):
        noise = rng.normal(0, 2_000, 5 * RATE).astype(np.int16)
        soundfile.write(root / "speech" / f"{name}.wav", noise, RATE)
        rows += [(name, "not", 8_000, 6_000), (name, "no", 32_000, 6_000)]
    with open(root / "speech.words.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    names = ("1-10-A", "2-20-A", "5-30-A", "5-40-A")
    for kind in ("rain", "dog"):
        (root / "noise" / kind).mkdir(parents=True)
        for name in names:
            noise = rng.normal(0, 1_000, 3 * RATE).astype(np.int16)
            soundfile.write(root / "noise" / kind / f"{name}.wav", noise, RATE)
    rows = [("utterance", "speaker", "transcript")]
    for speaker in ("fbbh", "fclc", "fash"):  # The last one trains.
        (root / "phrases" / speaker).mkdir(parents=True)
        for name, words in (("x1", "yes"), ("x2", "rubout five")):
            noise = rng.normal(0, 2_000, RATE).astype(np.int16)
            soundfile.write(root / "phrases" / speaker / f"{name}.wav", noise, RATE)
            rows.append((name, speaker, words))
    with open(root / "phrases" / "index.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    (root / "rooms").mkdir()
    for name in ("hall", "kitchen"):
        echo = rng.normal(0, 1, 3_000) * np.exp(-np.arange(3_000) / 600)
        soundfile.write(root / "rooms" / f"{name}.wav", 0.1 * echo / np.abs(echo).max(), RATE)
    return root


def build(sources, out, *more):
    """Make a small set."""
    places = [
        part
        for name in ("clips", "speech", "phrases", "rooms", "noise")
        for part in (f"--{name}", sources / name)
    ]
    few = ("--held-out", "rain", "--words", "6", "--noise-minutes", "0.5", "--keywords", "yes,no")
    return main(list(map(str, ("make-conditions", "--out", out, *places, *few, *more))))


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    """All conditions, in small."""
    out = tmp_path_factory.mktemp("made") / "conditions"
    assert build(sources, out) == 0
    return out


@pytest.mark.slow
def test_every_condition_has_two_halves_and_its_truth(made):
    """
    Keywords are spoken as often as asked in each half; other words and ignored spans are marked.
    """
    table = json.loads((made / "conditions.json").read_text())
    found = read_conditions(made)

    assert list(NAMES) == [one.name for one in found] == list(table["conditions"])
    for one in found:
        names = [path.name for path in one.files()]
        events = read_truth(one.truth, files=names)
        words = [event.keyword for event in events if not event.keyword.startswith("_")]
        row = table["conditions"][one.name]
        assert {"a", "b"} == {half_of(path) for path in one.files()}
        assert len(words) == row["events"] == (12 if "keywords" in row["description"] else 0)
        assert sum(event.keyword == OTHER for event in events) == row["others"]
        hours = sum(soundfile.info(path).frames for path in one.files()) / RATE / 3600
        assert row["hours"] == pytest.approx(hours, abs=1e-3)
    assert table["conditions"]["noise"]["others"] >= 12
    assert {"babble", "dog", "pairs", "rain"} == {
        kind_of(path) for path in (made / "noise-alone").glob("*.wav")
    }
    for one, number in zip(found[-2:], (4, 2)):
        ignored = read_truth(one.truth, files=[path.name for path in one.files()])
        assert [IGNORE] * number == [event.keyword for event in ignored]


@pytest.mark.slow
def test_keywords_are_where_the_truth_says_and_apart(made):
    """
    In the quiet room a keyword stands out at its span, and the next begins 3 to 8 s later.
    """
    path = made / "quiet" / "a-000.wav"
    samples = soundfile.read(path, dtype="float64")[0]
    events = read_truth(made / "quiet" / "truth.csv", files=["a-000.wav", "b-000.wav"])
    events = [event for event in events if event.file == path.name]
    gaps = [two.start_s - one.end_s for one, two in zip(events, events[1:])]

    assert all(2.9 <= gap <= 8.1 for gap in gaps)
    for event in events:
        word = samples[int(event.start_s * RATE) : int(event.end_s * RATE)]
        before = samples[int((event.start_s - 1) * RATE) : int((event.start_s - 0.5) * RATE)]
        assert word.std() > 8 * before.std()
    assert -30.1 <= 20 * np.log10(np.abs(samples).max()) <= -5.9


@pytest.mark.slow
def test_the_seed_fixes_the_audio_of_a_condition(made, sources, tmp_path):
    """
    The same seed gives the same files with or without other conditions; another seed gives others.
    """
    assert build(sources, tmp_path / "same", "--only", "rooms") == 0
    assert build(sources, tmp_path / "other", "--only", "rooms", "--seed", "2") == 0

    name = "rooms/a-000.wav"
    assert (made / name).read_bytes() == (tmp_path / "same" / name).read_bytes()
    assert (made / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_noise_is_what_training_did_not_have(sources):
    """
    A held-out kind counts whole, of the other kinds the testing fold; halves share no source.
    """
    kinds = noise_kinds([sources / "noise"], ["rain"])
    one, other = noise_halves(kinds)

    assert {"rain": 4, "dog": 2} == {kind: len(clips) for kind, clips in kinds.items()}
    sides = [
        {speaker_of(clip.path) for clips in half.values() for clip in clips}
        for half in (one, other)
    ]
    assert not sides[0] & sides[1]
    assert set(one) == set(other) == {"rain", "dog"}


def test_words_spelled_like_a_keyword():
    """
    Words that hold a keyword at an end or differ in a letter are near; the keyword's own forms
    and words that sound the same are not.
    """
    words = ("upon", "gone", "night", "not", "know", "stopped", "station", "go", "tree", "shop")

    near = near_words(words, ("up", "on", "no", "go", "right", "stop"))

    assert ["gone", "night", "not", "shop", "upon"] == near


@pytest.mark.slow
def test_several_models_are_compared(made, tmp_path, capsys, monkeypatch):
    """
    The table has a column a model; --out adds figures and picture; half b is the default.
    """
    for suffix in ("json", "tflite", "stream.tflite"):
        shutil.copy(
            KeywordSpotter.from_model("tiny").manifest.path.with_suffix(f".{suffix}"), tmp_path
        )
    copy = str(tmp_path / "tiny.json")

    assert (
        main(
            [
                "conditions",
                copy,
                "default",
                "--conditions",
                str(made),
                "--only",
                "quiet",
                "digits",
                "--out",
                str(tmp_path / "out"),
                "--write",
            ][:-1]
        )
        == 0
    )
    table = capsys.readouterr().out
    assert (
        main(
            ["conditions", copy, "--conditions", str(made), "--only", "quiet", "--write", "--json"]
        )
        == 0
    )

    found = json.loads(capsys.readouterr().out)
    both = json.loads((tmp_path / "out" / "conditions.json").read_text())
    assert all(text in table for text in ("tiny", "default", "fired %"))
    assert (tmp_path / "out" / "conditions.png").stat().st_size > 1_000
    assert ["tiny", "default"] == [row["model"] for row in both["models"]]
    assert found["conditions"]["quiet"] == both["models"][0]["conditions"]["quiet"]
    assert 6 == found["conditions"]["quiet"]["events"]
    kept = KeywordSpotter.from_model(copy).manifest.metrics["conditions"]
    assert ("b", found["conditions"]) == (kept["half"], kept["conditions"])


@pytest.mark.slow
def test_the_report_page_shows_the_conditions(made, tmp_path):
    """
    With --conditions the page has a section with the table of half b and its picture.
    """
    assert main(["report", "tiny", "--conditions", str(made), "--out", str(tmp_path)]) == 0

    text = (tmp_path / "report.md").read_text()
    measured = json.loads((tmp_path / "report.json").read_text())["models"][0]["conditions"]
    assert "## In the conditions of a home" in text
    assert "| quiet: missed % | " in text
    assert ("b", list(NAMES)) == (measured["half"], list(measured["conditions"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda made: (made / "conditions.json").unlink(), "make-conditions writes"),
        (lambda made: (made / "conditions.json").write_text("{}"), "schema_version 1"),
        (lambda made: (made / "quiet" / "truth.csv").unlink(), "truth.csv"),
        (lambda made: (made / "quiet" / "b-000.wav").unlink(), "b-*.wav"),
    ],
)
def test_a_folder_that_is_none_is_one_line(made, tmp_path, capsys, change, expected):
    """
    A missing or foreign table, truth or half ends in one line.
    """
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    change(copy)

    assert main(["conditions", "tiny", "--conditions", str(copy)]) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert 1 == len(error.splitlines())


def test_nothing_half_made_is_left(sources, tmp_path, capsys):
    """
    A folder with files is refused, a missing source too, and no folder is left behind.
    """
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()

    assert build(sources, tmp_path / "full") == 1
    assert "empty folder" in capsys.readouterr().err
    assert build(sources, tmp_path / "new", "--keywords", "stop") == 1
    assert "stop" in capsys.readouterr().err
    assert ["full"] == [path.name for path in tmp_path.iterdir()]
