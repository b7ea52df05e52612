"""Spectrograms as PNG files: written, gone on with, split, read, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("PIL", reason="pictures need the extra [train]")
pytest.importorskip("scipy", reason="pictures need the extra [train]")
pytest.importorskip("sklearn", reason="a random split needs the extra [train]")

from PIL import Image

from kws.errors import ConfigError
from training.batches.picture_tree import on_audio, write_pictures
from training.cli.train import main
from training.config import recipe as recipes
from training.datasets.spectrogram_images import (
    PictureClip,
    make_picture,
    network_input,
    write_picture,
)
from training.datasets.splits import open_classes

pytestmark = pytest.mark.timeout(240)
WORDS = ("bed", "cat")
N_SPEAKERS = 5


@pytest.fixture(scope="module")
def audio(tmp_path_factory, demo_audio) -> Path:
    """Two folders of a second of speech each: five speakers with two recordings a word."""
    root = tmp_path_factory.mktemp("data") / "words"
    starts = iter(range(0, len(demo_audio) - 16_000, 6_400))
    for word in WORDS:
        (root / word).mkdir(parents=True)
        for number in range(2 * N_SPEAKERS):
            at = next(starts)
            name = f"speaker{number // 2}_nohash_{number % 2}.wav"
            soundfile.write(root / word / name, demo_audio[at : at + 16_000], 16_000)
    return root


def load(audio: Path, out: Path | str = "nowhere", **changes: object) -> recipes.Recipe:
    """Return the recipe that ships for other clips."""
    overrides = {
        "data.clips": str(out),
        "data.classes": list(WORDS),
        "pictures.audio": str(audio),
        "source.clips_per_class": 0,
        **changes,
    }
    return recipes.load("cnn2d-pictures-random", overrides=overrides)


@pytest.fixture(scope="module")
def written(audio, tmp_path_factory) -> Path:
    """The pictures of that speech."""
    out = tmp_path_factory.mktemp("pictures") / "words"
    write_pictures(load(audio), out)
    return out


def test_every_clip_becomes_a_picture_of_its_class(written):
    """
    LABEL/NAME.png, 64 x 64 in three colours, and nothing half-written beside them.
    """
    names = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.*"))
    expected = [
        f"{word}/speaker{number // 2}_nohash_{number % 2}.png"
        for word in WORDS
        for number in range(2 * N_SPEAKERS)
    ]

    assert sorted([*expected, "pictures.json"]) == names
    with Image.open(written / expected[0]) as image:
        assert ("PNG", "RGB", (64, 64)) == (image.format, image.mode, image.size)


def test_time_runs_to_the_right_and_frequency_upwards():
    """
    The brightest pixel of a late, high level is on the right, near the top.
    """
    levels = np.zeros((98, 64), dtype=np.float32)
    levels[80:84, 60] = 1.0
    picture = make_picture(levels)
    row, column = np.unravel_index(picture[..., 1].argmax(), picture.shape[:2])

    assert (63 - 60, 53) == (row, pytest.approx(column, abs=1))
    turned = network_input(picture[None])[0]
    assert (column, 60) == np.unravel_index(turned[..., 1].argmax(), (64, 64))


def test_a_second_call_continues_where_the_first_stopped(audio, tmp_path, monkeypatch):
    """
    Broken off after seven pictures, the rest is written by the next call and the seven stay;
    incomplete pictures are not read.
    """
    out = tmp_path / "pictures"
    recipe = load(audio, out)

    def seven(clips):
        yield from clips[:7]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pictures(recipe, out, progress=seven)
    early = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    with pytest.raises(ConfigError, match="not all pictures are written; run kws-train pictures"):
        open_classes(recipe.source, out)

    assert 7 == len(early)
    assert 13 == write_pictures(recipe, out)
    assert early == {path: path.stat().st_mtime_ns for path in early}
    assert 0 == write_pictures(recipe, out)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    """
    A file appears only when it is whole.
    """
    with pytest.raises(TypeError):
        write_picture(np.zeros((64, 64, 7), dtype=np.uint8), tmp_path / "a.png")

    assert [] == list(tmp_path.iterdir())


def test_other_settings_need_another_folder(audio, written, tmp_path):
    """
    Pictures of two kinds never mix; a folder with somebody's files is left alone.
    """
    with pytest.raises(ConfigError, match="differs from the recipe"):
        write_pictures(load(audio, **{"frontend.mean": -9.0}), written)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="expected an empty folder, or one with"):
        write_pictures(load(audio), tmp_path)
    assert -10.0 == json.loads((written / "pictures.json").read_text())["frontend"]["mean"]


def test_two_files_of_one_name_are_refused(audio, tmp_path):
    """
    a.wav and a.flac would be the same picture.
    """
    for word in WORDS:
        (tmp_path / word).mkdir()
        for name in ("a.wav", "a.flac", "b.wav", "c.wav", "d.wav"):
            soundfile.write(tmp_path / word / name, np.zeros(16_000), 16_000)

    with pytest.raises(ConfigError, match="differ in their suffix alone"):
        write_pictures(load(tmp_path), tmp_path / "out")


@pytest.mark.parametrize("rule", ["random", "group"])
def test_pictures_are_split_as_their_audio_is(audio, written, rule):
    """
    A fifth of each class validates; the same clips by the pictures and by the audio.
    """
    recipe = load(audio, written, **{"source.split": rule})
    of_audio = on_audio(recipe)
    found = []
    for source, root in ((recipe.source, written), (of_audio.source, audio)):
        data = open_classes(source, root)
        assert WORDS == data.labels
        found.append(
            {
                (clip.label, clip.path.stem): split
                for split in data.items
                for clip in data.clips(split)
            }
        )

    assert found[0] == found[1]
    for word in WORDS:
        of_word = [split for (label, _), split in found[0].items() if label == word]
        assert 2 == of_word.count("validation")


def test_clips_without_known_speakers_have_no_speaker_split(tmp_path):
    """
    A split by speaker is refused where no two clips share one.
    """
    for word in WORDS:
        (tmp_path / word).mkdir()
        for number in range(5):
            soundfile.write(tmp_path / word / f"{word}{number}.wav", np.zeros(16_000), 16_000)

    assert 10 == write_pictures(load(tmp_path, tmp_path / "out"), tmp_path / "out")
    with pytest.raises(ConfigError, match="split by group: expected clips that share a speaker"):
        write_pictures(load(tmp_path, **{"source.split": "group"}), tmp_path / "other")


def test_clips_listed_for_testing_are_not_drawn(tmp_path, word_tree):
    """
    What `testing_list.txt` names becomes no picture, so that no picture of it trains.
    """
    root = word_tree({word: {"training": 5, "testing": 2} for word in WORDS})

    assert 10 == write_pictures(load(root), tmp_path / "out")
    assert ["tr"] * 10 == [path.name[:2] for path in (tmp_path / "out").glob("*/*.png")]


def test_other_pictures_are_read(tmp_path):
    """
    One folder per class of PNG files is enough; a grey one is read in colour.
    """
    for word in WORDS:
        (tmp_path / word).mkdir()
        for number in range(5):
            grey = Image.fromarray(np.full((64, 64), 40 * number, dtype=np.uint8))
            grey.save(tmp_path / word / f"{number}.png")
        (tmp_path / word / ".77.left.png").write_bytes(b"half")
    data = open_classes(load(tmp_path).source, tmp_path)

    assert 10 == sum(len(items) for items in data.items.values())
    assert {(64, 64, 3)} == {clip.read().shape for clip in data.clips("training")}


def test_what_is_no_picture_of_that_size_is_named(tmp_path):
    """
    The file, what was expected and what it is.
    """
    path = tmp_path / "a.png"
    path.write_bytes(b"text")
    with pytest.raises(ConfigError, match=r"a\.png: expected a picture"):
        PictureClip(path, "").read()
    Image.new("RGB", (80, 64)).save(path)
    with pytest.raises(ConfigError, match=r"a\.png: expected 64 x 64 pixels, got 80 x 64"):
        PictureClip(path, "").read()
    with pytest.raises(ConfigError, match="write them with kws-train pictures RECIPE"):
        open_classes(load(tmp_path).source, tmp_path / "none")


def test_the_command_writes_where_the_recipe_reads(audio, tmp_path, capsys):
    """
    Without --out into data.clips; --json has the folder and the count.
    """
    changes = {
        "data.clips": f'"{tmp_path / "drawn"}"',
        "pictures.audio": f'"{audio}"',
        "data.classes": json.dumps(WORDS),
    }
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]

    assert 0 == main(["pictures", "cnn2d-pictures-speaker", "--json", *settings])
    printed = json.loads(capsys.readouterr().out)
    assert {"pictures": str(tmp_path / "drawn"), "written": 20} == printed


@pytest.mark.slow
def test_show_draws_each_change(audio, written, tmp_path):
    """
    kws-train show: five rows of pictures, in a PNG.
    """
    out = tmp_path / "changes.png"
    changes = {"data.clips": f'"{written}"', "data.classes": json.dumps(WORDS)}
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]

    assert 0 == main(["show", "cnn2d-pictures-random", "--out", str(out), *settings])
    with Image.open(out) as image:
        width, height = image.size
    assert width > height > 500


def test_a_picture_of_no_known_format_is_one_line(capsys, tmp_path):
    """
    Refused before anything is drawn: the suffix is the format.
    """
    out = tmp_path / "augmentation"

    assert 1 == main(["show", "cnn2d-pictures-random", "--out", str(out)])

    error = f"kws-train: error: --out {out}: expected one of .png, .svg, .pdf\n"
    assert error == capsys.readouterr().err
    assert not out.exists()
